"""The published checkpoints: what is known of each, and nothing that is not."""

from dataclasses import dataclass

_REPOSITORY = "https://raw.githubusercontent.com/sign-language-processing/segmentation"
_2023 = f"{_REPOSITORY}/5abf90808a1e535372c8c268637e9866cf55e15e/sign_language_segmentation/dist"
_2026 = f"{_REPOSITORY}/22ca3a6f63b6f031bfb1c0d717fcb259143ba7db/sign_language_segmentation/dist/2026"
_EMNLP = (
    "Moryossef, Jiang, Müller, Ebling, Goldberg: Linguistically Motivated Sign Language Segmentation. "
    "Findings of EMNLP 2023"
)


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
}
