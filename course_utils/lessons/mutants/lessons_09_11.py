"""The mutants of lessons 09 to 11."""

from course_utils.lessons.mutants.kinds import Mutant

MUTANTS = {
    "09.1": Mutant(
        "models.rpn.RPN.proposals",
        (
            "@torch.no_grad()\n    def proposals",
            "found.append(filter_proposals(scores[best], boxes, size, *limits))",
        ),
        (
            "def proposals",
            "given = scores[best].detach(), boxes.detach(), size, *limits\n"
            "            kept, kept_scores = filter_proposals(*given)\n"
            "            row = torch.cdist(kept, boxes.detach()).argmin(1)\n"
            "            found.append((boxes[row], kept_scores))",
        ),
        ("gradient not cut",),
        "The losses of the head alone give the layers of the RPN a gradient: it moves"
        " proposals to please the head.",
        "Proposals are given to the head without gradient: detach them.",
    ),
    "09.2": Mutant(
        "training.four_steps.train_in_four_steps",
        "frozen = Frozen(model.backbone)",
        "frozen = model.backbone",
        ("gradient not cut",),
        "The backbone changes in step 3, under the detector of step 2.",
        "From step 3 on the backbone is frozen.",
    ),
    "09.3": Mutant(
        "models.rpn.RPN.proposals",
        "decode_boxes(offsets[best], anchors[best], BOX_DELTA_STDS)",
        "decode_boxes(offsets[best], anchors[best])",
        ("not normalised", "wrong scale"),
        "The box loss falls, and the recall of the proposals with it.",
        "Multiply the deltas by the STDS by which the targets are divided.",
    ),
    "10.1": Mutant(
        "evaluation.predict.predict",
        "for i in items]",
        "for i in reversed(items)]",
        ("wrong order", "labels shifted"),
        "Detections look right on their image, and mAP is near 0: each list of"
        " detections stands beside the target of another image.",
        "Keep the order of the data set.",
    ),
    "10.2": Mutant(
        "evaluation.compare.pareto_front",
        "a >= accuracy",
        "a <= accuracy",
        ("wrong sign",),
        "On the front stand the slow and inaccurate detectors.",
        "A point is beaten by one that is as fast and as accurate or better.",
    ),
    "10.3": Mutant(
        "evaluation.compare.detections_from",
        "(part[:num_proposals] for part in scored)",
        "scored",
        ("limit missing",),
        "With two proposals a detector is as accurate as with fifty: the time was"
        " measured at one setting, the accuracy at another.",
        "Take the best `num_proposals` only.",
    ),
    "10.4": Mutant(
        "evaluation.compare.run_timed",
        "for i in range(len(scenes)):\n        model.timer = Timer()",
        "model.timer = Timer()\n    for i in range(len(scenes)):",
        ("double counting",),
        "The time of each scene holds those of all before it: the more scenes, the"
        " slower every detector.",
        "Give each scene a clock of its own.",
    ),
    "11.1": Mutant(
        "models.single_shot.hard_negative_loss",
        "loss.detach().sum(1).masked_fill(positive, -1)",
        "(1 / loss.detach().sum(1)).masked_fill(positive, -1)",
        ("wrong order",),
        "The loss falls to nearly 0, and the detector is full of false alarms.",
        "Take the negatives with the largest loss.",
    ),
    "11.2": Mutant(
        "models.single_shot.focal_loss",
        "wanted * (1 - probability) + (1 - wanted) * probability",
        "wanted * probability + (1 - wanted) * (1 - probability)",
        ("wrong sign",),
        "What the network is sure of, and rightly, costs more than its mistakes.",
        "The factor is small where the probability of the truth is near 1.",
    ),
    "11.3": Mutant(
        "models.single_shot.shot_loss",
        "count = max(1, int(positive.sum()))",
        "count = max(1, len(labels))",
        ("not normalised",),
        "The losses are a thousandth of what they should be, and nothing is learned.",
        "Divide by the number of positives, since nearly all anchors are background.",
    ),
    "11.4": Mutant(
        "models.single_shot.ShotHead.__init__",
        "torch.logit(torch.tensor(prior)).item()",
        "-torch.logit(torch.tensor(prior)).item()",
        ("wrong sign",),
        "At first each anchor is sure to be an object, and the first loss is huge.",
        "The bias is the logit of the prior, which is below 0.",
    ),
    "11.5": Mutant(
        "models.single_shot.SingleShot.__init__",
        "zip(sizes, (8, 16))",
        "zip(sizes, (8, 8))",
        ("wrong scale",),
        "The large anchors cover only the upper left quarter of the image.",
        "A cell of the second map is 16 pixels wide.",
    ),
}
