"""widgets/annotate.py without a browser: what is loaded, saved and kept."""

import base64
import io
import sys

import numpy as np
import pytest
from PIL import Image

from course_utils.data.labels.read import read_voc_labels
from course_utils.data.voc import read_voc_xml
from course_utils.lessons.widgets.album import Album
from course_utils.lessons.widgets.annotate import Annotator, annotate, drawn_boxes

DOG = {"x": 10, "y": 5, "width": 30, "height": 25, "label": "dog"}


def save(path, size=(64, 48), mode="RGB", orientation=None, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new(mode, size, 90).save(path, exif=exif, **more)
    return path


def folder_of(tmp_path, *names):
    for name in names:
        save(tmp_path / name)
    return tmp_path


def boxes_in(path):
    return [(o["name"], o["box"], o["difficult"]) for o in read_voc_xml(path)]


def test_saved_boxes_come_back(tmp_path):
    album = Album(folder_of(tmp_path, "a.jpg", "b.jpg"), ["dog", "cat"])
    assert album.load() == [] and album.image.name == "a.jpg"
    assert album.save([DOG, DOG | {"x": 1.4, "label": "cat", "difficult": True}]) == 2
    path = tmp_path / "Annotations" / "a.xml"
    assert boxes_in(path) == [
        ("dog", (10, 5, 40, 30), False),
        ("cat", (1, 5, 31, 30), True),
    ]
    first, second = album.load()
    assert first == DOG | {"difficult": False}
    assert second["difficult"] is True and second["label"] == "cat"
    record = read_voc_labels(tmp_path)[0]
    assert record["labels"] == path and record["size"] == (64, 48)


@pytest.mark.parametrize(
    "drawn, box",
    [
        ({"x": 40, "y": 30, "width": -30, "height": -25}, (10, 5, 40, 30)),
        ({"x": -8, "y": -9, "width": 100, "height": 200}, (0, 0, 64, 48)),
        ({"x": 60.2, "y": 5.5, "width": 9, "height": 9.1}, (60.2, 5.5, 64, 14.6)),
        ({"x": 10, "y": 5, "width": 0, "height": 0}, None),  # a click
        ({"x": 10, "y": 5, "width": 30, "height": 0.9}, None),
        ({"x": 70, "y": 5, "width": 30, "height": 30}, None),  # beside the image
    ],
)
def test_what_a_mouse_draws(drawn, box):
    detected = drawn_boxes([DOG | drawn, DOG | {"label": "cat"}], (64, 48))
    assert detected["names"] == ["dog"] * bool(box) + ["cat"]
    if box:
        assert detected["boxes"][0].tolist() == pytest.approx(box)
    assert len(detected["boxes"]) == len(detected["names"])


def test_no_box_is_saved_as_an_empty_label_file(tmp_path):
    album = Album(folder_of(tmp_path, "a.jpg"), ["dog"])
    assert album.save([]) == 0
    (record,) = read_voc_labels(tmp_path)
    assert record["labels"] is not None and record["objects"] == []


def test_an_older_file_is_kept_once(tmp_path):
    folder_of(tmp_path, "a.jpg")
    album = Album(tmp_path, ["dog"])
    album.save([DOG])
    path = album.xml(album.image)
    mine = path.read_text()
    for x in (1, 2):
        album.save([DOG | {"x": x}])
    assert path.with_name("a.xml.bak").read_text() == mine
    assert boxes_in(path)[0][1][0] == 2
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.xml", "a.xml.bak"]


def test_where_label_files_lie(tmp_path):
    folder_of(tmp_path, "a.jpg", "b.jpg")
    assert Album(tmp_path, ["dog"]).out == tmp_path / "Annotations"
    (tmp_path / "b.xml").write_text("<annotation/>")  # as LabelImg does
    assert Album(tmp_path, ["dog"]).out == tmp_path
    assert Album(tmp_path, ["dog"], tmp_path / "x").out == tmp_path / "x"
    (tmp_path / "Annotations").mkdir()
    assert Album(tmp_path, ["dog"]).out == tmp_path / "Annotations"


def test_equal_stems_have_a_file_each(tmp_path):
    album = Album(folder_of(tmp_path, "a.jpg", "A.png", "b.jpg"), ["dog"])
    names = [album.xml(image).name for image in album.images]
    assert sorted(names) == ["A.png.xml", "a.jpg.xml", "b.xml"]
    for x in (1, 2, 3):
        album.save([DOG | {"x": x}])
        album.move(1)
    found = {
        r["file"].name: r["objects"][0]["box"][0] for r in read_voc_labels(tmp_path)
    }
    assert found == {"A.png": 1, "a.jpg": 2, "b.jpg": 3}


def test_starts_at_the_first_without_labels_and_stays_between_the_ends(tmp_path):
    folder_of(tmp_path, "a.jpg", "b.jpg")
    album = Album(tmp_path, ["dog"])
    assert not album.move(-1) and album.at == 0
    album.save([])
    assert Album(tmp_path, ["dog"]).at == 1
    assert album.move(1) and not album.move(1)
    album.save([])
    assert Album(tmp_path, ["dog"]).at == 0


def test_unreadable_images_are_named_and_left_out(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ValueError, match="no image that can be read"):
        Album(tmp_path, ["dog"])
    folder_of(tmp_path, "b.jpg")
    album = Album(tmp_path, ["dog"])
    assert [p.name for p in album.images] == ["b.jpg"]
    assert "a.jpg: unreadable" in album.unreadable[0]
    pytest.importorskip("jupyter_bbox_widget")
    assert "a.jpg: unreadable" in annotate(tmp_path, ["dog"]).status.value


def test_labels_of_the_unturned_pixels_are_turned_with_the_picture(tmp_path):
    save(tmp_path / "a.jpg", orientation=6)
    (tmp_path / "a.xml").write_text(
        "<annotation><size><width>64</width><height>48</height></size><object>"
        "<name> dog </name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>40</xmax>"
        "<ymax>30</ymax></bndbox></object></annotation>"
    )
    album = Album(tmp_path, ["dog"])
    (dog,) = album.load()
    assert dog["label"] == "dog"
    assert [dog[k] for k in ("x", "y", "width", "height")] == [18, 10, 25, 30]
    album.save([dog])
    assert "<width>48</width>" in (tmp_path / "a.xml").read_text()
    assert album.load() == [dog]


@pytest.fixture
def annotator(tmp_path):
    pytest.importorskip("jupyter_bbox_widget")
    save(tmp_path / "a.png")
    save(tmp_path / "b.jpg", orientation=6)
    save(tmp_path / "c.bmp")
    return annotate(tmp_path, ["dog", "cat"])


def test_submit_saves_and_goes_on(annotator, tmp_path):
    widget, album = annotator.widget, annotator.album
    assert widget.classes == ["dog", "cat"] and widget.label == "dog"
    assert widget.image_bytes == (tmp_path / "a.png").read_bytes()
    assert "1 of 3: a.png" in annotator.status.value
    widget.bboxes = [DOG]
    widget.submit_callback()
    assert "2 of 3: b.jpg. a.png: 1 box saved" in annotator.status.value
    assert widget.bboxes == [] and widget.selected_index == -1
    with Image.open(io.BytesIO(widget.image_bytes)) as shown:
        assert shown.size == (48, 64) and 0x0112 not in shown.getexif()
    widget.skip_callback()
    with Image.open(io.BytesIO(widget.image_bytes)) as shown:
        assert shown.format == "JPEG" and album.image.name == "c.bmp"
    widget.submit_callback()
    assert "c.bmp: 0 boxes saved. That was the last" in annotator.status.value
    widget.skip_callback()
    assert "no more images" in annotator.status.value
    files = sorted(p.name for p in (tmp_path / "Annotations").iterdir())
    assert files == ["a.xml", "c.xml"]


def test_boxes_that_come_late_stay_with_their_picture(annotator, tmp_path):
    widget = annotator.widget
    widget.bboxes = [DOG]
    widget.submit_callback()
    widget.set_state({"bboxes": [DOG]})  # sent before the page heard of the next one
    assert widget.bboxes == []
    mine = DOG | {"x": DOG["x"] + 1}
    widget.set_state({"bboxes": [mine]})
    assert widget.bboxes == [mine]


def test_back_shows_what_was_saved_and_other_classes_stay(annotator, tmp_path):
    annotator.widget.bboxes = [DOG, DOG | {"x": 2, "label": "zebra <1>"}]
    annotator.submit()
    *_, back = annotator.box.children
    back.click()
    assert annotator.album.at == 0
    assert annotator.widget.classes == ["dog", "cat", "zebra <1>"]
    assert [b["label"] for b in annotator.widget.bboxes] == ["dog", "zebra <1>"]
    annotator.submit()
    names = [o["name"] for o in read_voc_xml(tmp_path / "Annotations" / "a.xml")]
    assert names == ["dog", "zebra <1>"]
    assert annotator.widget.classes == ["dog", "cat"]


def test_what_can_not_be_saved_stays(annotator, tmp_path):
    annotator.widget.bboxes = [DOG | {"label": ""}]
    annotator.submit()
    assert "NOT saved: a box has no class" in annotator.status.value
    assert annotator.album.at == 0 and len(annotator.widget.bboxes) == 1
    assert not (tmp_path / "Annotations").exists()
    (tmp_path / "Annotations").write_text("a file where the folder should be")
    annotator.widget.bboxes = [DOG]
    annotator.submit()
    assert "NOT saved" in annotator.status.value and annotator.album.at == 0


def test_a_broken_label_file_is_named_and_kept(annotator, tmp_path):
    path = tmp_path / "Annotations" / "a.xml"
    path.parent.mkdir()
    path.write_text("<annotation>")
    annotator.show()
    assert "not a readable XML" in annotator.status.value
    assert annotator.widget.bboxes == []
    annotator.widget.bboxes = [DOG]
    annotator.submit()
    assert path.with_name("a.xml.bak").read_text() == "<annotation>"
    assert len(read_voc_xml(path)) == 1


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), TypeError("odd")])
def test_any_error_on_saving_is_said_and_loses_nothing(annotator, monkeypatch, error):
    # pitfall: widgets: a handler that raises
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("course_utils.lessons.widgets.album.write_voc_xml", fails)
    annotator.widget.bboxes = [DOG]
    annotator.widget.submit_callback()
    assert "NOT saved: " in annotator.status.value
    assert str(error.args[-1]) in annotator.status.value
    assert annotator.album.at == 0 and annotator.widget.bboxes == [DOG]
    monkeypatch.undo()
    annotator.widget.submit_callback()
    assert "a.png: 1 box saved" in annotator.status.value


@pytest.mark.parametrize("error", [OSError(5, "disk"), TypeError("odd")])
def test_a_picture_that_cannot_be_shown_is_said(
    annotator, tmp_path, monkeypatch, error
):
    def fails(path):
        raise error

    monkeypatch.setattr("course_utils.lessons.widgets.annotate.browser_bytes", fails)
    annotator.widget.bboxes = [DOG]
    annotator.widget.submit_callback()
    said = annotator.status.value
    assert "2 of 3: b.jpg. a.png: 1 box saved. NOT shown: " in said
    assert type(error).__name__ in said and str(error.args[-1]) in said
    assert annotator.widget.image_bytes != (tmp_path / "a.png").read_bytes()
    annotator.widget.submit_callback()
    assert "NOT saved: this picture could not be shown" in annotator.status.value
    assert not (tmp_path / "Annotations" / "b.xml").exists(), "nobody saw it"
    assert "image/png" in annotator._repr_mimebundle_()
    monkeypatch.undo()
    annotator.widget.skip_callback()
    assert (
        "3 of 3: c.bmp" in annotator.status.value
        and "NOT" not in annotator.status.value
    )


def test_a_picture_that_is_gone_at_the_start_is_said(tmp_path, monkeypatch):
    pytest.importorskip("jupyter_bbox_widget")
    folder_of(tmp_path, "a.jpg", "b.jpg")
    album = Album(tmp_path, ["dog"])
    (tmp_path / "a.jpg").unlink()
    widget = Annotator(album)
    assert "1 of 2: a.jpg. NOT shown" in widget.status.value
    assert "image/png" in widget._repr_mimebundle_()
    widget.go(1)
    assert "2 of 2: b.jpg" in widget.status.value and widget.shown == 1


def test_errors_of_the_other_handlers_are_said(annotator, monkeypatch):
    def fails(*_):
        raise KeyError("odd")

    monkeypatch.setattr(annotator.album, "move", fails)
    annotator.widget.skip_callback()
    assert "KeyError: &#x27;odd&#x27;" in annotator.status.value


def test_a_picture_stands_in_where_widgets_do_not_run(annotator):
    plain = annotator.png
    annotator.widget.bboxes = [DOG]
    bundle = annotator._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    png = base64.b64decode(bundle["image/png"])
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG" and picture.size == (560, 450)
        drawn = np.asarray(picture.convert("RGB")).astype(int)
    with Image.open(io.BytesIO(plain)) as picture:
        empty = np.asarray(picture.convert("RGB")).astype(int)
    orange = (abs(drawn - (0xE6, 0x9F, 0x00)).sum(2) < 12).sum()
    assert orange > 500 and (drawn != empty).any(2).sum() >= orange


def test_a_missing_widget_is_named_with_its_mend(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyter_bbox_widget", None)
    with pytest.raises(ImportError, match="pip install jupyter_bbox_widget") as error:
        annotate(folder_of(tmp_path, "a.jpg"), ["dog"])
    assert "\n" not in str(error.value) and error.value.__suppress_context__
