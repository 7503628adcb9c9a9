"""Weights of networks: what is published, how it is fetched and converted, and `load`.

A checkpoint is a folder: `weights.safetensors`, and `config.json` with the family of the network, all that preparing
poses and reading tags needs, the licence, and where it comes from: the SHA-256 of the file it was and of what it is;
for a network that reads text also `vocab.txt`. Nothing is fetched but by `pull`, and nothing that a file brings is ever
run.
"""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seasign.checkpoints.companions import (
    VOCABULARY,
    WEIGHTS,
    alone,
    with_calibration,
    with_encoder,
    with_pieces,
    with_words,
)
from seasign.checkpoints.download import download, git_blob
from seasign.checkpoints.pickles import read_state
from seasign.checkpoints.published import PUBLISHED, Published
from seasign.embedding import Embedder
from seasign.formats.disk import cache, sha256
from seasign.models import features
from seasign.segmentation import Segmenter
from seasign.spotting import Spotter
from seasign.translation import Translator
from seasign.types import InputError, InputWarning

if TYPE_CHECKING:
    import torch

__all__ = [
    "PUBLISHED",
    "Published",
    "convert",
    "list_published",
    "load",
    "load_embedder",
    "load_segmenter",
    "load_spotter",
    "load_translator",
    "pull",
    "verify",
]

CONFIG = "config.json"
WRAPPERS = ("module.", "mmmodel.")  # before the names of tensors: of several GPUs, and of SignCLIP's in fairseq
FAMILIES = {  # `model` in config.json -> its module and class, tensors that tell it from the others, what goes with it
    "bio-tagger": ("bio_tagger", "BioTagger", {"pose_projection.weight", "encoder.weight_ih_l0"}, alone),
    "unet-tagger": ("unet_tagger", "UnetTagger", {"frame_cnn.0.fc.weight", "encoder_attn.0.qkv.weight"}, alone),
    "signclip": (
        "signclip",
        "SignClip",
        {"video_encoder.videomlp.linear1.weight", "text_encoder.embeddings.word_embeddings.weight"},
        with_words,
    ),
    "cslr2": (
        "cslr2",
        "Cslr2",
        {"video_encoder.cls_token", "video_token_ll.weight", "text_word_ll.weight"},
        with_encoder,
    ),
    "gloss-text": ("gloss_text", "GlossText", {"gloss_text.projection"}, alone),
    "spotter": ("spotter", "Spotter", {"head.0.weight"}, with_calibration),
    "sigma": ("sigma", "Sigma", {"vision_first", "mt5.shared.weight"}, with_pieces),
}


def load(
    checkpoint: str | Path, families: Collection[str] = tuple(FAMILIES)
) -> Segmenter | Embedder | Translator | Spotter:
    """The network in a folder, or in one that was pulled by its name; also a bare safetensors file of the 2023 family.

    Taggers are segmenters, that of 2026 on a GPU where there is one; SignCLIP comes as a `SignClipEmbedder`, and CSLR2
    as a `Cslr2Embedder`, which recognizes, too; Sigma comes as a `SigmaTranslator`, a spotter as a
    `PoseSpotter`; all on the CPU and in 32 bits.

    A published name comes before a folder of the same name: write `./2026` for the folder.

    Args:
        families: Whose published names are told where there is no such checkpoint; whoever calls knows what will do.
    Raises:
        InputError: There is none, it was not pulled, or it is not whole: a file is missing, the tensors are not those
            of the family or do not fit the settings. Nothing is ever downloaded here.
        ModuleNotFoundError: There is no torch; the message says how to install it.
    """
    path = _find(checkpoint, families)
    if path.is_dir():
        config, tensors = _read_config(path), _read_safetensors(path / WEIGHTS)[0]
    elif path.suffix != ".safetensors":
        raise InputError(f"{path}: not loaded as it is; run: seasign checkpoints convert {path} -o FOLDER")
    else:
        config, tensors = _describe(path)
    network = _build(path, config, tensors)
    *_, complete = FAMILIES[config["model"]]
    found: Segmenter | Embedder | Translator | Spotter = complete(network, path)
    return found


def load_segmenter(checkpoint: str | Path) -> Segmenter:
    """As `load`, where a segmenter is needed.

    Raises:
        InputError: As `load`; or it is an embedder.
    """
    found = load(checkpoint, ("bio-tagger", "unet-tagger"))
    if not isinstance(found, Segmenter):
        raise InputError(f"{checkpoint}: embeds signs and text, and finds no signs: give it as an embedder")
    return found


def load_embedder(checkpoint: str | Path) -> Embedder:
    """As `load`, where an embedder is needed.

    Raises:
        InputError: As `load`; or it is a segmenter.
    """
    found = load(checkpoint, ("signclip", "cslr2", "gloss-text"))
    if not isinstance(found, Embedder):
        raise InputError(f"{checkpoint}: finds signs, and embeds none: give it as a segmenter")
    return found


def load_translator(checkpoint: str | Path) -> Translator:
    """As `load`, where a translator is needed.

    Raises:
        InputError: As `load`; or it translates nothing.
    """
    found = load(checkpoint, ("sigma",))
    if not isinstance(found, Translator):
        raise InputError(
            f"{checkpoint}: translates nothing; give the folder of a model that was fine-tuned to translate"
        )
    return found


def load_spotter(checkpoint: str | Path) -> Spotter:
    """As `load`, where a spotter is needed.

    Raises:
        InputError: As `load`; or it looks for no query.
    """
    found = load(checkpoint, ("spotter",))
    if not isinstance(found, Spotter):
        raise InputError(f"{checkpoint}: looks for no query; if it knows words, give it as --embedder")
    return found


def convert(
    file: Path | str,
    folder: Path | str,
    *,
    known: Published | None = None,
    address: str | None = None,
    settings: Mapping[str, object] = MappingProxyType({}),
    vocabulary: Path | str | None = None,
    trim: bool = False,
) -> dict[str, Any]:
    """Turn a file of weights into a checkpoint, and give its config.

    Read are the TorchScript archives, Lightning checkpoints and pickles that `pickles.read_state` reads, and
    safetensors; settings that the file does not carry are looked for in a config.json beside it.

    Args:
        folder: Written whole or not at all. An older checkpoint there is replaced, anything else is refused.
        known: Which published checkpoint the file is; None asks its hash.
        address: Where the file was fetched from, for the record.
        settings: Win over those of `known`, of the file, and beside it.
        vocabulary: Of SignCLIP's text tower, one token a line; it is copied.
        trim: Leave out what no vector of SignCLIP depends on: a tenth.
    Raises:
        InputError: The file is no checkpoint, not of a family that is known, or not whole; SignCLIP comes without its
            vocabulary; anything else comes with one.
        ModuleNotFoundError: There is no torch.
    Warns:
        InputWarning: the file does not record SignCLIP's context length; its values are not all those of 16 bits, as
            published ones are: then they stay as they are.
    """
    _needs_torch()
    import safetensors.torch

    file, folder = Path(file), Path(folder)
    config, tensors = _describe(file)
    if "provenance" in config or config["model"] == "gloss-text":
        raise InputError(f"{file}: belongs to a checkpoint already: {file.parent}")
    digest, blob = sha256(file), git_blob(file)
    known = known or next((it for it in PUBLISHED.values() if digest == it.sha256 or blob == it.git_blob), None)
    config = (dict(known.settings) if known else {}) | config | dict(settings)
    vocabulary = Path(vocabulary) if vocabulary else None
    if config["model"] == "signclip":
        config, tensors = _prepare_signclip(file, config, tensors, vocabulary, trim)
    elif vocabulary or trim:
        raise InputError(f"{file}: is a {config['model']}, which has no vocabulary and nothing to trim")
    if config["model"] == "cslr2":
        from seasign.models.cslr2 import trained

        tensors = trained(tensors)
    network = _build(file, config, tensors)
    if config["model"] == "signclip":
        tensors = _halved(file, network.state_dict())
    config = network.config | {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "licence": settings.get("licence") or (known.licence if known else config.get("licence")),
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
        if vocabulary:
            shutil.copyfile(vocabulary, new / VOCABULARY)
        config["provenance"]["files"] = {name.name: sha256(name) for name in sorted(new.iterdir())}
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
            f"{name}: no public address is known; get the file from its authors{known.file and f' ({known.file})'}, "
            f"and run: seasign checkpoints convert FILE -o FOLDER --as {name}"
            + " --vocabulary vocab.txt"
            * (known.model == "signclip")
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
            f"{folder / CONFIG}: records no SHA-256: only whether the tensors fit was looked at",
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
    return Path(os.environ.get("SEASIGN_CHECKPOINTS") or cache("checkpoints"))


def _published(name: str) -> Published:
    """What is known of a name."""
    if name not in PUBLISHED:
        raise InputError(f"{name}: no checkpoint of that name is published; there are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def _find(checkpoint: str | Path, families: Collection[str] = tuple(FAMILIES)) -> Path:
    """The folder or file meant; a path is never a published name."""
    if isinstance(checkpoint, str) and checkpoint in PUBLISHED:
        if not (folder := _cache() / checkpoint).exists():
            raise InputError(f"{checkpoint}: not here yet; run: seasign checkpoints pull {checkpoint}")
        return folder
    if not (path := Path(checkpoint)).exists():
        names = [name for name, known in PUBLISHED.items() if known.model in families and isinstance(checkpoint, str)]
        instead = f", or one of {', '.join(names)}" if names else ""
        raise InputError(f"{checkpoint}: no such checkpoint; give its FOLDER{instead}")
    return path


def _describe(file: Path) -> "tuple[dict[str, Any], dict[str, torch.Tensor]]":
    """The config and the tensors of a file of weights, by the family that its tensors are of."""
    _needs_torch()
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give the file of weights that is in it")
    if file.suffix == ".safetensors":
        tensors, settings = _read_safetensors(file)
    else:
        state = read_state(file)
        tensors, settings = state.tensors, state.settings
    for wrapper in WRAPPERS:
        tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    for model, (_, _, marks, _) in FAMILIES.items():
        if marks <= tensors.keys():
            beside = file.with_name(CONFIG)
            if (file.suffix == ".safetensors" or model == "signclip") and beside.exists():
                settings |= _read_json(beside)
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
    module, name, marks, _ = FAMILIES[model]
    if lacking := sorted(marks - tensors.keys()):
        raise InputError(f"{path}: its model is {model}, but there is no tensor {lacking[0]}")
    try:
        return getattr(import_module(f"seasign.models.{module}"), name).from_checkpoint(config, tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _prepare_signclip(
    file: Path, config: Mapping[str, Any], tensors: "dict[str, torch.Tensor]", vocabulary: Path | None, trim: bool
) -> "tuple[dict[str, Any], dict[str, torch.Tensor]]":
    """The config with what the vocabulary says, and the tensors that are wanted."""
    from seasign.models import signclip
    from seasign.models.signclip_embedder import read_vocabulary

    if vocabulary is None:
        raise InputError(f"{file}: SignCLIP reads text; give the vocabulary of its tokens too (--vocabulary vocab.txt)")
    rows = len(tensors["text_encoder.embeddings.word_embeddings.weight"])
    tokens = read_vocabulary(vocabulary, rows)
    separators = (tokens.index("[CLS]"), tokens.index("[SEP]"))
    lowercase = all(token == token.lower() or token.startswith("[") for token in tokens)
    if not {"max_frames", "max_tokens"} <= config.keys():
        warnings.warn(
            f"{file}: does not say how many frames and tokens the network was trained with; taken as 256 and 64, as "
            "most of those released: --as, or --max-frames and --max-tokens, say otherwise",
            InputWarning,
            stacklevel=3,
        )
    return (
        {"lowercase": lowercase, **config, "separators": separators},
        signclip.trim(tensors, separators) if trim else tensors,
    )


def _halved(file: Path, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The tensors in 16 bits, as SignCLIP was trained."""
    from seasign.models import signclip

    half, others = signclip.halve(tensors)
    if others:
        message = f"{file}: {len(others)} of {len(half)} tensors, such as {others[0]}, are not exact in 16 bits"
        warnings.warn(f"{message}, as published ones are: they stay as they are", InputWarning, stacklevel=3)
    return half


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
    if folder.exists() and not (
        folder.is_dir() and {file.name for file in folder.iterdir()} <= {WEIGHTS, CONFIG, VOCABULARY}
    ):
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
