"""Pictures on stdin -> landmarks on stdout: MediaPipe Holistic in a process, and mostly an environment, of its own.

Started as a script by `seasign.pose_estimation`, perhaps under a Python in which seasign is not installed: it imports
the standard library, numpy and mediapipe only. Anything that speaks this protocol can stand in its place:

    argument   the settings, as a JSON object
    stdout     first one line of JSON: either "estimator", "version", "settings" and "landmarks" (the names, in order),
               or "missing" (what to install) or "refused" (what cannot be done), and the end
    stdin      per picture: HEADER, then height x width x 3 bytes of RGB, row by row
    stdout     per picture: x, y, z, confidence of every landmark as little-endian float32; 0 where not seen

A picture with `restart` set is estimated as if it were the first one ever seen.
"""

import json
import os
import struct
import sys
from typing import Any

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError:  # said by the protocol, so that it comes out with the remedy
    print(json.dumps({"missing": "it has no numpy"}))
    sys.exit()

HEADER = struct.Struct("<?4I")  # restart, width, height, and where in the video's picture its top left corner is: x, y
COMPONENTS = {  # the order of pose-format's holistic layout: our name -> the field of a result, and its size
    "POSE_LANDMARKS": ("pose_landmarks", 33),
    "FACE_LANDMARKS": ("face_landmarks", 478),
    "LEFT_HAND_LANDMARKS": ("left_hand_landmarks", 21),
    "RIGHT_HAND_LANDMARKS": ("right_hand_landmarks", 21),
    "POSE_WORLD_LANDMARKS": ("pose_world_landmarks", 33),
}
MODELS = {0: "pose_landmark_lite.tflite", 1: "pose_landmark_full.tflite", 2: "pose_landmark_heavy.tflite"}


def main() -> None:
    """Speak the protocol until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever mediapipe prints must not land among the landmarks
    settings = json.loads(sys.argv[1])
    hello, holistic = start(settings)
    out.write(json.dumps(hello).encode() + b"\n")
    out.flush()
    if holistic is None:
        return
    network, fresh = holistic(**settings), True
    while header := sys.stdin.buffer.read(HEADER.size):
        restart, width, height, x, y = HEADER.unpack(header)
        if restart and not fresh:
            network.close()
            network = holistic(**settings)
        fresh = False
        picture = np.frombuffer(sys.stdin.buffer.read(height * width * 3), np.uint8).reshape(height, width, 3)
        found = network.process(picture)
        out.write(landmarks(found, width, height, x, y).astype("<f4").tobytes())
        out.flush()


def start(settings: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The hello, and the class of the network when there is one."""
    try:
        import mediapipe

        holistic = mediapipe.solutions.holistic
    except (ImportError, AttributeError) as error:  # without the wheel, a library it needs, or its legacy solutions
        return {"missing": str(error)}, None
    model = MODELS[settings["model_complexity"]]
    folder = os.path.join(os.path.dirname(mediapipe.__file__), "modules", "pose_landmark")
    if not os.path.exists(os.path.join(folder, model)):  # it would be fetched from the network, unpinned
        return {
            "refused": f"{model} is not part of mediapipe's wheel; take complexity 1, or put it into {folder}"
        }, None
    points = {
        "POSE_LANDMARKS": [point.name for point in holistic.PoseLandmark],
        "FACE_LANDMARKS": [str(point) for point in range(478)],
        "LEFT_HAND_LANDMARKS": [point.name for point in holistic.HandLandmark],
    }
    points["RIGHT_HAND_LANDMARKS"] = points["LEFT_HAND_LANDMARKS"]
    points["POSE_WORLD_LANDMARKS"] = points["POSE_LANDMARKS"]
    names = [f"{component}.{point}" for component in COMPONENTS for point in points[component]]
    hello = {
        "estimator": "mediapipe-holistic",
        "version": mediapipe.__version__,
        "settings": settings,
        "landmarks": names,
    }
    return hello, holistic.Holistic


def landmarks(found: Any, width: int, height: int, left: int, top: int) -> npt.NDArray[np.float64]:
    """One row (x, y, z, confidence) per landmark, scaled as pose-format does.

    x and y are multiplied by the size of the picture, those in metres (POSE_WORLD_LANDMARKS) too, and z is left as it
    is. The body brings its visibility as confidence; face and hands have 1 when found.
    """
    rows = []
    for component, (field, size) in COMPONENTS.items():
        block = np.zeros((size, 4))
        component_found = getattr(found, field)
        if component_found is not None:
            body = component.startswith("POSE")
            block[:] = [(p.x, p.y, p.z, p.visibility if body else 1) for p in component_found.landmark]
            block[:, :2] *= (width, height)
            if component != "POSE_WORLD_LANDMARKS":
                block[:, :2] += (left, top)
        rows.append(block)
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
