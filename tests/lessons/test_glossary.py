"""The glossary at the end of lesson 00."""

import re

import nbformat

from course_utils.lessons.notebooks import NOTEBOOKS, lessons

PATH = NOTEBOOKS / "00_start_here.ipynb"
# The words that the course's names and prose keep to.
FIELD = """
    backbone, ground truth, bounding box, detections, predict, proposals, num_proposals,
    logits, confidence, objectness logits, postprocess_detections, filter_proposals,
    assign_targets, iou_thresholds, pre_nms_top_n, post_nms_top_n, max_detections,
    positive_fraction, batch_size_per_image, BOX_DELTA_STDS, decision_function,
    matched_gt_boxes, deltas, SVM, box regressor, inference, epoch, overfitting,
    one-stage, two-stage, hyperparameter
"""


def entries():
    """[(word, sentence, lesson)] of the glossary's table."""
    texts = [
        c.source for c in nbformat.read(PATH, 4).cells if "## Glossary" in c.source
    ]
    assert len(texts) == 1
    table = texts[0].split("## Glossary")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (\d\d) \|$", table, re.M)
    assert len(rows) == table.count("\n| ") - 1, "each row has three parts"
    return rows


def without_the_glossary(path):
    texts = [c.source for c in nbformat.read(path, 4).cells]
    return "\n".join(
        re.sub(r"## Glossary.*?(?=\n## |$)", "", t, flags=re.S) for t in texts
    )


def test_every_word_of_the_field_is_there():
    words = [word.strip("`") for word, _, _ in entries()]
    for wanted in re.split(r",\s*", FIELD.strip()):
        assert any(re.split(r" \(", word)[0] == wanted for word in words), wanted


def test_thirty_to_fifty_words_sorted_and_each_one_sentence():
    rows = entries()
    keys = [word.strip("`").lower().replace("_", " ") for word, _, _ in rows]
    assert 30 <= len(rows) <= 50 and keys == sorted(set(keys))
    for word, sentence, _ in rows:
        assert re.fullmatch(r"[^.]+\.", sentence), word
        assert sentence[0].isupper(), word


def test_words_of_the_first_two_lessons_stand_in_them():
    """A lesson says a word that the glossary sends there."""
    numbers = {path.stem[:2]: path for path in lessons()}
    for word, _, number in entries():
        assert number in numbers, word
        if number in ("00", "01"):
            name = re.sub(r" \(.*", "", word).strip("`")
            text = without_the_glossary(numbers[number]).lower()
            assert name.lower().rstrip("s") in text.replace("\n", " "), word
