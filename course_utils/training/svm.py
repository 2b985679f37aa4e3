"""Linear readers of features: SVMs with hard negatives, and ridge regression."""

import numpy as np
import torch

from course_utils.models.rcnn import decision_function


def mean_length(features, count=2000, seed=0):
    """Mean length of the rows (R, D), from at most `count` of them. Lesson 05."""
    rows = np.random.default_rng(seed).permutation(len(features))[:count]
    return float(np.linalg.norm(features[rows].astype(np.float32), axis=1).mean())


def train_svm(
    features, positive, negative, rounds=2, most=1000, cost=1e-3, scale=1.0, seed=0
):
    """One linear SVM: `positive` rows against `negative` ones, the hard ones sought.

    features: array (R, D), may be float16 on disk, read as features / scale; positive,
    negative: row numbers. The first fit takes `most` random negatives. Each of `rounds`
    then adds those that it gets wrong or nearly, with a decision value above -1: the
    worst, at most `most`. It stops early when there are none; rounds=0 seeks none.
    Returns (weight (D, 1), bias (1,), numbers of negatives in each fit). Raises
    ValueError without positives or negatives.
    Source: R-CNN, section 2.3 and appendix B. Lesson 05.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError(
            f"an SVM needs both: {len(positive)} positives, {len(negative)} negatives"
        )
    from sklearn.svm import LinearSVC  # here, because it takes 80 MB

    random = np.random.default_rng(seed)
    used = random.permutation(negative)[:most]
    counts = []
    for step in range(rounds + 1):
        rows = np.concatenate([positive, used])
        svm = LinearSVC(C=cost, dual=False, random_state=seed)
        x = features[rows].astype(np.float32) / scale
        svm.fit(x, np.arange(len(rows)) < len(positive))
        weight = torch.tensor(svm.coef_.T, dtype=torch.float32)  # (D, 1)
        bias = torch.tensor(svm.intercept_, dtype=torch.float32)  # (1,)
        counts.append(len(used))
        if step < rounds:
            values = decision_function(features, weight / scale, bias)[:, 0].numpy()
            fresh = np.setdiff1d(negative[values[negative] > -1], used)
            if len(fresh) == 0:
                break
            worst = np.argsort(-values[fresh], kind="stable")[:most]
            used = np.concatenate([used, fresh[worst]])
    return weight, bias, counts


def train_svms(features, truth, overlap, classes, negative_iou=0.3, **settings):
    """One SVM for each class; returns weights (D, K), biases (K,) and counts.

    features (R, D). truth (R,): the class of a row that is a ground-truth box itself,
    else 0; these are the positives. overlap (R, K): largest IoU with an object of each
    class; rows below `negative_iou` are the class's negatives, objects of other classes
    among them. settings: for `train_svm`. counts: {class: negatives used in each fit}.
    Raises ValueError, naming the class, if one has no positives. Lesson 05.
    """
    weights, biases, counts = [], [], {}
    for k, name in enumerate(classes):
        positive = np.flatnonzero(truth == k + 1)
        if len(positive) == 0:
            raise ValueError(
                f"class {name}: 0 positives; give it true boxes or take it out of"
                " classes"
            )
        # IoU 0 as the limit means: negatives must not touch the object at all.
        negative = np.flatnonzero(overlap[:, k] < max(negative_iou, 1e-6))
        weight, bias, counts[name] = train_svm(features, positive, negative, **settings)
        weights.append(weight)
        biases.append(bias)
    return torch.cat(weights, 1), torch.cat(biases), counts


def ridge(x, y, strength=300.0):
    """Ridge regression in closed form: x (N, D), y (N, T) -> weights (D, T), bias (T,).

    Minimises |x w + b - y|^2 + strength |w|^2; b is free. Lesson 05.
    """
    x, y = x.float(), y.float()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x + strength * torch.eye(x.shape[1], device=x.device)
    weight = torch.linalg.solve(gram, x.T @ y)
    return weight, y_mean - x_mean @ weight


def train_box_regression(features, labels, deltas, num_classes, strength=300.0):
    """Class-wise ridge regression from features to deltas: (K, D, 4) and (K, 4).

    features (R, D), labels (R,) class of the object that each region is for, deltas
    (R, 4) from region to object. A class without a region keeps zeros: its boxes stay
    as they are. Source: R-CNN, appendix C. Lesson 05.
    """
    size = features.shape[1]
    weights = torch.zeros(num_classes - 1, size, 4, device=features.device)
    biases = torch.zeros(num_classes - 1, 4, device=features.device)
    for k in range(num_classes - 1):
        mine = labels == k + 1
        if mine.any():
            weights[k], biases[k] = ridge(features[mine], deltas[mine], strength)
    return weights, biases
