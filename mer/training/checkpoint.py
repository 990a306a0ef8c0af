"""Checkpoints: tensors and plain numbers only, written atomically, the same content giving the same bytes."""

import io
import json
import math
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from mer.base import store
from mer.base.errors import MerError

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def save(path: str | Path, content: dict) -> None:
    """Write a dict of tensors, numbers, strings and containers of them."""
    buffer = io.BytesIO()  # torch names the archive's inner folder after the file, so a temporary name would show
    torch.save(content, buffer)
    store.write_bytes(path, buffer.getvalue())


def load(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """Read a checkpoint; nothing but tensors and plain values is ever unpickled.

    Raises:
        MerError: the file is missing, no checkpoint, or damaged: torch looks at no checksum, so the archive's are
            compared first.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged, its checksum differs")
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise MerError(f"{path}: no such checkpoint; run `dvc repro` to make it") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise MerError(f"{path}: not a readable checkpoint ({_first(error)}); delete it and run "
                       "`dvc repro`") from None


def _first(error: Exception) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def load_pretrained(model: nn.Module, pretrained: dict, classes: tuple[str, ...], head: str,
                    head_key: str) -> list[str]:
    """Copy pretrained weights into `model`, whose label set may be another one, and return the classes carried over.

    Args:
        pretrained: content of a pretraining checkpoint, with keys `model` (state dict) and `classes` (names in order).
        classes: the label set of `model`.
        head: `drop` leaves the last layer of the classifier as initialised (paper: section 4.1.2, the released code
            raises there); `match` copies the rows of classes that have the same name in both sets (ours).
        head_key: name of the classifier's last layer, e.g. `mer.fc2`.

    Raises:
        MerError: any tensor but the last layer is missing, left over, or of another shape.
    """
    state = dict(pretrained["model"])
    own = model.state_dict()
    names = list(pretrained["classes"])
    carried = [name for name in classes if name in names] if head == "match" else []
    for key in (f"{head_key}.weight", f"{head_key}.bias"):
        if key not in own or key not in state:
            continue
        value = own[key].clone()
        for name in carried:
            value[classes.index(name)] = state[key][names.index(name)].to(value)
        state[key] = value
    for key in sorted(set(own) | set(state)):
        if key not in state or key not in own or own[key].shape != state[key].shape:
            found, needed = (tuple(tensors[key].shape) if key in tensors else "missing" for tensors in (state, own))
            raise MerError(f"pretrained checkpoint: tensor {key} is {found}, the model needs {needed}; pretrain with "
                           "the same model settings, or set pretrain.sources to []")
    model.load_state_dict(state)
    return carried


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file: eight bytes of length, a JSON header, then the bytes of all tensors.

    Raises:
        MerError: the file is cut short, or its header is damaged.
    """
    content = bytearray(Path(path).read_bytes())
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            low, high = (start + offset for offset in entry["data_offsets"])
            dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
            if not start <= low <= high <= len(content) or high - low != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name}: bytes {low} to {high} of {len(content)}")
            tensors[name] = torch.frombuffer(content[low:high], dtype=dtype).reshape(shape)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MerError(f"{path}: not a readable safetensors file ({error!r}); fetch it again") from None
    return tensors


def read_bin(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict that torch saved.

    Raises:
        MerError: it is none.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds for a damaged file
        raise MerError(f"{path}: no state dict of torch ({_first(error)})") from None
