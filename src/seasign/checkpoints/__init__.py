"""Weights of networks: what is published, how it is fetched and converted, and `load`.

A checkpoint is a folder: `weights.safetensors`, and `config.json` with the family of the network, all that preparing
poses and reading tags needs, the licence, and where it comes from: the SHA-256 of the file it was and of what it is.
Nothing is fetched but by `pull`, and nothing that a file brings is ever run.
"""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seasign.checkpoints.download import download, git_blob, sha256
from seasign.checkpoints.pickles import read_state
from seasign.checkpoints.published import PUBLISHED, Published
from seasign.models import features
from seasign.segmentation import Segmenter
from seasign.types import InputError, InputWarning

if TYPE_CHECKING:
    import torch

__all__ = ["PUBLISHED", "Published", "convert", "list_published", "load", "pull", "verify"]

WEIGHTS, CONFIG = "weights.safetensors", "config.json"
FAMILIES = {  # `model` in config.json -> its module and class, and tensors that tell it from the others
    "bio-tagger": ("bio_tagger", "BioTagger", {"pose_projection.weight", "encoder.weight_ih_l0"}),
    "unet-tagger": ("unet_tagger", "UnetTagger", {"frame_cnn.0.fc.weight", "encoder_attn.0.qkv.weight"}),
}


def load(checkpoint: str | Path) -> Segmenter:
    """The network in a folder, or in one that was pulled by its name; also a bare safetensors file of the 2023 family.

    A published name comes before a folder of the same name: write `./2026` for the folder.

    Raises:
        InputError: There is none, it was not pulled, or it is not whole: a file is missing, the tensors are not those
            of the family or do not fit the settings. Nothing is ever downloaded here.
        ModuleNotFoundError: There is no torch; the message says how to install it.
    """
    path = _find(checkpoint)
    if path.is_dir():
        config, tensors = _read_config(path), _read_safetensors(path / WEIGHTS)[0]
    elif path.suffix != ".safetensors":
        raise InputError(f"{path}: not loaded as it is; run: seasign checkpoints convert {path} -o FOLDER")
    else:
        config, tensors = _describe(path)
    segmenter: Segmenter = _build(path, config, tensors)
    return segmenter


def convert(
    file: Path | str, folder: Path | str, *, known: Published | None = None, address: str | None = None
) -> dict[str, Any]:
    """Turn a file of weights into a checkpoint, and give its config.

    Read are the TorchScript archives, Lightning checkpoints and pickles that `pickles.read_state` reads, and
    safetensors; settings that the file does not carry are looked for in a config.json beside it.

    Args:
        folder: Written whole or not at all. An older checkpoint there is replaced, anything else is refused.
        known: Which published checkpoint the file is; None asks its hash.
        address: Where the file was fetched from, for the record.
    Raises:
        InputError: The file is no checkpoint, not of a family that is known, or not whole.
        ModuleNotFoundError: There is no torch.
    """
    _needs_torch()
    import safetensors.torch

    file, folder = Path(file), Path(folder)
    config, tensors = _describe(file)
    if "provenance" in config:
        raise InputError(f"{file}: belongs to a checkpoint already: {file.parent}")
    network = _build(file, config, tensors)
    digest, blob = sha256(file), git_blob(file)
    known = known or next((it for it in PUBLISHED.values() if digest == it.sha256 or blob == it.git_blob), None)
    config = network.config | {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "licence": known.licence if known else config.get("licence"),
        "trained_on": known and known.trained_on,
        "citation": known and known.citation,
        "provenance": {
            "file": file.name,
            "address": address,
            "sha256": digest,
            "converted_by": f"seasign {version('seasign')}",
        },
    }
    with _replacing_folder(folder) as new:
        safetensors.torch.save_file({name: tensors[name] for name in network.state_dict()}, new / WEIGHTS)
        config["provenance"]["files"] = {WEIGHTS: sha256(new / WEIGHTS)}
        text = json.dumps(config, indent=1, ensure_ascii=False)
        (new / CONFIG).write_text(f"{text}\n", encoding="utf-8")
    return dict(json.loads(text))


def pull(
    name: str,
    *,
    address: str | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Path:
    """Fetch a published checkpoint, check it, convert it into the cache, and give its folder.

    A download that broke off goes on where it was. One that is there and whole is not fetched again.

    Args:
        address: Another place of the same file; what is known of its content is checked all the same.
        progress: See `download`.
    Raises:
        InputError: No such name; no address is known; it cannot be fetched; it is not the file that was published, or
            no checkpoint. Then nothing of it is kept, unless it broke off.
        ModuleNotFoundError: There is no torch.
    """
    known, folder = _published(name), _cache() / name
    if folder.exists():
        try:
            verify(name)
        except InputError as error:
            raise InputError(f"{error}; remove {folder} to fetch it anew") from error
        return folder
    address = address or known.address
    if address is None:
        raise InputError(
            f"{name}: no public address is known; get the file from its authors, and run: "
            "seasign checkpoints convert FILE -o FOLDER"
        )
    _needs_torch()  # before anything is fetched
    coming = _cache() / f".{name}"
    coming.mkdir(parents=True, exist_ok=True)
    place, _, file_name = address.partition("?")[0].rpartition("/")
    file = coming / (file_name or "weights")
    try:
        if known.with_config:
            download(f"{place}/{CONFIG}", coming / CONFIG)
        download(address, file, progress)
    except InputError:
        with suppress(OSError):  # unless a part has come
            coming.rmdir()
        raise
    try:
        for wanted, found in (known.sha256, sha256(file)), (known.git_blob, git_blob(file)):
            if wanted and wanted != found:
                raise InputError(f"{address}: not the published file: its hash is {found}, not {wanted}")
        config = convert(file, folder, known=known, address=address)
    finally:
        shutil.rmtree(coming)
    if config["parameters"] != known.parameters:
        message = f"{name}: has {config['parameters']:,} parameters where {known.parameters:,} were published"
        warnings.warn(message, InputWarning, stacklevel=2)
    return folder


def verify(checkpoint: str | Path) -> str:
    """Hash what lies there anew, and build the network from it; give the SHA-256 of the weights.

    Raises:
        InputError: A file is not what config.json recorded, or `load` would refuse the checkpoint.
        ModuleNotFoundError: There is no torch.
    Warns:
        InputWarning: config.json records nothing to compare with.
    """
    folder = _find(checkpoint)
    if not folder.is_dir():
        raise InputError(f"{folder}: a file records no hash; convert it to a folder first")
    provenance = _read_config(folder).get("provenance")
    files = provenance.get("files") if isinstance(provenance, dict) else None
    if not isinstance(files, dict) or WEIGHTS not in files:
        files = {}
        warnings.warn(
            f"{folder / CONFIG}: records no SHA-256, as after training: only whether the tensors fit was looked at",
            InputWarning,
            stacklevel=2,
        )
    for name, wanted in files.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: missing")
        if (found := sha256(folder / name)) != wanted:
            raise InputError(f"{folder / name}: changed since it was written: its SHA-256 is {found}, not {wanted}")
    load(folder)
    return sha256(folder / WEIGHTS)


def list_published() -> dict[str, Path | None]:
    """The names of the published checkpoints, and the folders of those that were pulled."""
    folders = {name: _cache() / name for name in PUBLISHED}
    return {name: folder if folder.exists() else None for name, folder in folders.items()}


def _cache() -> Path:
    """Where checkpoints lie that were pulled."""
    return Path(os.environ.get("SEASIGN_CHECKPOINTS") or Path.home() / ".cache" / "seasign" / "checkpoints")


def _published(name: str) -> Published:
    """What is known of a name."""
    if name not in PUBLISHED:
        raise InputError(f"{name}: no checkpoint of that name is published; there are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def _find(checkpoint: str | Path) -> Path:
    """The folder or file meant."""
    if isinstance(checkpoint, str) and checkpoint in PUBLISHED:
        if not (folder := _cache() / checkpoint).exists():
            raise InputError(f"{checkpoint}: not here yet; run: seasign checkpoints pull {checkpoint}")
        return folder
    if not (path := Path(checkpoint)).exists():
        raise InputError(f"{checkpoint}: no such checkpoint; give a folder, or one of {', '.join(PUBLISHED)}")
    return path


def _describe(file: Path) -> "tuple[dict[str, Any], dict[str, torch.Tensor]]":
    """The config and the tensors of a file of weights, by the family that its tensors are of."""
    _needs_torch()
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give the file of weights that is in it")
    if file.suffix == ".safetensors":
        tensors, settings = _read_safetensors(file)
        if (beside := file.with_name(CONFIG)).exists():
            settings |= _read_json(beside)
    else:
        state = read_state(file)
        tensors, settings = state.tensors, state.settings
    for model, (_, _, marks) in FAMILIES.items():
        if marks <= tensors.keys():
            config = settings | {"model": model}
            return (features.statistics_2026() | config if model == "unet-tagger" else config), tensors
    names = ", ".join(repr(name[:60]) for name in sorted(tensors)[:3])
    raise InputError(
        f"{file}: {len(tensors)} tensors of a network that is not known ({names} ...); known are {', '.join(FAMILIES)}"
    )


def _build(path: Path, config: Mapping[str, Any], tensors: "Mapping[str, torch.Tensor]") -> Any:
    """The network; its own complaints get the path in front."""
    _needs_torch()
    model = str(config.get("model"))
    if model not in FAMILIES:
        raise InputError(f"{path}: its model is {model!r:.40}; known are {', '.join(FAMILIES)}")
    module, name, marks = FAMILIES[model]
    if lacking := sorted(marks - tensors.keys()):
        raise InputError(f"{path}: its model is {model}, but there is no tensor {lacking[0]}")
    try:
        return getattr(import_module(f"seasign.models.{module}"), name).from_checkpoint(config, tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _needs_torch() -> None:
    """A remedy instead of the name of a module."""
    try:
        import safetensors.torch  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError('reading networks needs torch: pip install "seasign[neural]"') from None


def _read_safetensors(path: Path) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """The tensors, and the strings beside them."""
    _needs_torch()
    import safetensors

    if not path.exists():
        raise InputError(f"{path}: missing; expected a folder with {WEIGHTS} and {CONFIG}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not safetensors, or cut short ({error}); fetch or convert it again") from error


def _read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint."""
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder}: no checkpoint: there is no {CONFIG}; expected it and {WEIGHTS}")
    return _read_json(folder / CONFIG)


def _read_json(path: Path) -> dict[str, Any]:
    """An object."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); convert the checkpoint again") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds a {type(config).__name__} where an object is expected")
    return config


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; on success it takes the place of `folder`, on any error nothing is left of it.

    Raises:
        InputError: Something else is in that place.
        OSError: It cannot be written there.
    """
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not (folder.is_dir() and {file.name for file in folder.iterdir()} <= {WEIGHTS, CONFIG}):
        raise InputError(f"{folder}: is there already and is no checkpoint; choose another folder")
    try:
        room = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:  # which names the temporary folder
        raise OSError(error.errno, error.strerror, str(folder)) from None
    try:
        (new := room / "new").mkdir()
        yield new
        if older := folder.exists():
            folder.rename(room / "old")
        try:
            new.rename(folder)
        except OSError:
            if older:
                (room / "old").rename(folder)
            raise
    finally:
        shutil.rmtree(room)
