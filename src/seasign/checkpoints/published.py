"""The published checkpoints: what is known of each, and nothing that is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_REPOSITORY = "https://raw.githubusercontent.com/sign-language-processing/segmentation"
_2023 = f"{_REPOSITORY}/5abf90808a1e535372c8c268637e9866cf55e15e/sign_language_segmentation/dist"
_2026 = f"{_REPOSITORY}/22ca3a6f63b6f031bfb1c0d717fcb259143ba7db/sign_language_segmentation/dist/2026"
_EMNLP = (
    "Moryossef, Jiang, Müller, Ebling, Goldberg: Linguistically Motivated Sign Language Segmentation. "
    "Findings of EMNLP 2023"
)
_SIGNCLIP = (
    "Jiang, Sant, Moryossef, Müller, Sennrich, Ebling: SignCLIP: Connecting Text and Sign Language by Contrastive "
    "Learning. EMNLP 2024"
)
_SEA = "Jiang et al.: Segment, Embed, and Align. arXiv:2512.08094, 2025"
_UNSTATED = "not stated; until it is, not for commercial use"


@dataclass(frozen=True)
class Published:
    """A checkpoint that its authors have put somewhere."""

    model: str  # its family, as in config.json
    parameters: int
    licence: str
    trained_on: str
    citation: str
    about: str
    address: str | None  # of the file; None: it lies nowhere that a program can fetch it from
    with_config: bool = False  # its settings are a config.json that lies beside it
    sha256: str | None = None  # of the file; None: not known to us, so the first download is trusted and recorded
    git_blob: str | None = None  # the name that git gives to the file's content: SHA-1 with a header
    file: str | None = None  # what it is called where only people can get it
    settings: Mapping[str, object] = field(default_factory=dict)  # what it does not carry


def _signclip(
    file: str | None,
    trained_on: str,
    about: str,
    citation: str = _SIGNCLIP,
    size: int = 217_681_152,
    **settings: object,
) -> Published:
    """A network of SignCLIP; they lie on a drive of the authors."""
    return Published(
        model="signclip",
        parameters=size,
        licence=_UNSTATED,
        trained_on=trained_on,
        citation=citation,
        about=about,
        address=None,
        file=file,
        settings={"max_frames": 256, "max_tokens": 64, "tags": ["en", "ase"]} | settings,
    )


PUBLISHED = {
    "e1": Published(
        model="bio-tagger",
        parameters=454_662,
        licence="MIT",
        trained_on="Public DGS Corpus (German Sign Language), 25 fps",
        citation=_EMNLP,
        about="one layer, 75 points; a development checkpoint of May 2023, older than the paper's",
        address=f"{_2023}/model.pth",
        git_blob="6dfa7622d58344618c1172c186128bcb2ed78255",
    ),
    "e1s": Published(
        model="bio-tagger",
        parameters=1_640_454,
        licence="MIT",
        trained_on="Public DGS Corpus (German Sign Language), 25 fps",
        citation=_EMNLP,
        about="four layers, 75 points; the default of the authors' tool of 2023",
        address=f"{_2023}/model_E1s-1.pth",
    ),
    "e4s": Published(
        model="bio-tagger",
        parameters=1_702_662,
        licence="MIT",
        trained_on="Public DGS Corpus (German Sign Language), 25 fps",
        citation=_EMNLP,
        about="four layers, 75 points, optical flow and normalized hands; the one SEA uses, at 30/50",
        address=f"{_2023}/model_E4s-1.pth",
    ),
    "2026": Published(
        model="unet-tagger",
        parameters=5_734_141,
        licence="MIT",
        trained_on="Public DGS Corpus (German Sign Language), 25 to 50 fps",
        citation="sign-language-processing/segmentation @ 22ca3a6, E169; no paper",
        about="convolutions over joints and time, attention by seconds; any frame rate",
        address=f"{_2026}/model.safetensors",
        with_config=True,
    ),
    "signclip": _signclip(
        "baseline_temporal_checkpoint_best.pt",
        "Spreadthesign, 41 sign languages with English text",
        "the multilingual one, E7.2",
    ),
    "signclip-asl": _signclip(
        "asl_finetune_checkpoint_best.pt",
        "signclip, then PopSign ASL, ASL Citizen and Sem-Lex",
        "isolated signs of ASL",
        _SEA,
    ),
    "signclip-bsl": _signclip(
        "bobsl_finetune_checkpoint_best.pt",
        "signclip, then signs spotted in BOBSL",
        "8,697 words of BSL, clips of up to 32 frames",
        _SEA,
        max_frames=32,
        max_tokens=32,
        tags=["en", "bfi"],
    ),
    "signclip-suisse": _signclip(
        None,
        "signclip, then Signsuisse (DSGS, LSF-CH, LIS-CH)",
        "signs and example sentences, with German, French and Italian text",
        _SEA,
        tags=["de", "sgg"],
    ),
    "signclip-asl-citizen": _signclip(
        "asl_citizen_finetune_checkpoint_best.pt", "signclip, then ASL Citizen", "isolated signs of ASL"
    ),
    "signclip-asl-signs": _signclip(
        "asl_signs_finetune_checkpoint_best.pt", "signclip, then asl-signs (PopSign)", "250 signs of ASL"
    ),
    "signclip-sem-lex": _signclip(
        "sem_lex_finetune_checkpoint_best.pt", "signclip, then Sem-Lex", "isolated signs of ASL"
    ),
    "fingerclip": _signclip(
        "rwthfs_hand_dominant_aug",
        "RWTH fingerspelling (German Sign Language)",
        "letters and numbers of the right hand, E3.2; texts are whole sentences without tags",
        size=177_078_528,
        max_tokens=96,
        tags=None,
        landmarks="right-hand",
    ),
}
