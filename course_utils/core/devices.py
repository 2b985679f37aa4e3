"""Where tensors lie: the CPU or another device, and how pictures get to a network."""

import torch


def device_of(model):
    """The device of a network's weights; the CPU for one without any, as a function.

    Lesson 02.
    """
    weights = model.parameters() if hasattr(model, "parameters") else iter(())
    weight = next(weights, None)
    return torch.device("cpu") if weight is None else weight.device


def to_device(value, device):
    """`value`, a tensor or lists, tuples and dicts of them, with all on `device`.

    Anything else stays as it is, and so do tensors that are there already, or all if
    `device` is None. Lesson 02.
    """
    if torch.is_tensor(value):
        return value.to(device)
    if isinstance(value, dict):
        return {key: to_device(part, device) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(to_device(part, device) for part in value)
    return value


def wait_for_device():
    """Wait until a GPU has done all that it was given; nothing to wait for on a CPU.

    A call returns as soon as its work is handed over, so a clock has to wait for the
    work itself.
    """
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def check_images(model, images):
    """A list of images ready for `model`: floats become float32.

    Raises ValueError, with the mend, for an image on another device than the weights of
    `model`, and for weights that are not float32. Lesson 02.
    """
    weight = next(model.parameters(), None)
    if weight is None:
        return list(images)
    if weight.dtype != torch.float32:
        raise ValueError(
            f"the model's weights are {weight.dtype}, its detections need float32: call"
            " model.float()"
        )
    for image in images:
        if image.device != weight.device:
            raise ValueError(
                f"the images are on {image.device}, the model is on {weight.device}:"
                f" move them with image.to({str(weight.device)!r}), as train.fit and"
                " localize.predict do, or the model with"
                f" model.to({str(image.device)!r})"
            )
    return [image.float() if image.is_floating_point() else image for image in images]


def predict_one(model, image):
    """The detections of one image (3, H, W), which may lie on another device.

    They come back to the image's device. Lesson 07.
    """
    return to_device(model([image.to(device_of(model))])[0], image.device)
