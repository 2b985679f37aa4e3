"""Linear models over kept features: SVMs with hard negatives, ridge regression."""

import numpy as np
import torch

from course_utils.models.rcnn import decision_function


def mean_length(features, count=2000, seed=0):
    """Mean length of the rows (R, D), from at most `count` of them. Lesson 05."""
    rows = np.random.default_rng(seed).permutation(len(features))[:count]
    return float(np.linalg.norm(features[rows].astype(np.float32), axis=1).mean())


def fit_svm(features, positive, negative, cost=1e-3, scale=1.0, seed=0):
    """One linear SVM on the rows named: weight (D, 1) and bias (1,).

    features: array (R, D), read as features / scale; positive, negative: row numbers.
    Minimises |w|^2 / 2 + b^2 / 2 + cost * the sum of squared hinge losses. Lesson 05.
    """
    from sklearn.svm import LinearSVC  # here, because it takes 80 MB

    rows = np.concatenate([positive, negative])
    svm = LinearSVC(C=cost, dual=False, random_state=seed)
    x = features[rows].astype(np.float32) / scale
    svm.fit(x, np.arange(len(rows)) < len(positive))
    return torch.tensor(svm.coef_.T).float(), torch.tensor(svm.intercept_).float()


def train_svm(features, positive, negative, rounds=2, most=1000, scale=1.0, **settings):
    """One linear SVM with hard negatives: (weight (D, 1), bias (1,), counts).

    features, positive, negative: as in `fit_svm`, as are the settings. The first fit
    takes `most` random negatives. Each of `rounds` adds those that it gets wrong or
    nearly, with a decision value above -1: the worst, at most `most`; it stops when
    there are none. counts: negatives in each fit. Raises ValueError without positives
    or negatives. Source: R-CNN, section 2.3 and appendix B. Lesson 05.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError(
            f"an SVM needs both: {len(positive)} positives, {len(negative)} negatives"
        )
    used = np.random.default_rng(settings.get("seed", 0)).permutation(negative)[:most]
    counts = []
    for step in range(rounds + 1):
        weight, bias = fit_svm(features, positive, used, scale=scale, **settings)
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
    """One SVM for each class: weights (D, K), biases (K,), {class: counts}.

    features (R, D). truth (R,): the class of a row that is a ground-truth box itself,
    else 0; these are the positives. overlap (R, K): largest IoU with an object of each
    class; rows below `negative_iou` are the class's negatives, objects of other classes
    among them. settings: for `train_svm`. Raises ValueError, naming the class, if one
    has no positives. Lesson 05.
    """
    svms = {}
    for k, name in enumerate(classes):
        positive = np.flatnonzero(truth == k + 1)
        if len(positive) == 0:
            raise ValueError(
                f"class {name}: 0 positives; give it true boxes or take it out of"
                " classes"
            )
        # IoU 0 as the limit means: negatives must not touch the object at all.
        negative = np.flatnonzero(overlap[:, k] < max(negative_iou, 1e-6))
        svms[name] = train_svm(features, positive, negative, **settings)
    weights, biases, counts = zip(*svms.values())
    return torch.cat(weights, 1), torch.cat(biases), dict(zip(svms, counts))


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
    weights = features.new_zeros(num_classes - 1, size, 4)
    biases = features.new_zeros(num_classes - 1, 4)
    for k in range(num_classes - 1):
        mine = labels == k + 1
        if mine.any():
            weights[k], biases[k] = ridge(features[mine], deltas[mine], strength)
    return weights, biases
