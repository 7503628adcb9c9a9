"""Inputs that several test files plant."""

from fractions import Fraction

import av
import numpy as np


def film(path, times, size=(64, 48), ticks=90_000, rate=25, spot=None):
    """A video whose pictures grow brighter one by one, at the given seconds; `spot` (x, y) is white in all."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, ticks)
        for number, time in enumerate(times):
            picture = np.full((size[1], size[0], 3), level(number), dtype=np.uint8)
            if spot is not None:
                picture[spot[1] : spot[1] + 4, spot[0] : spot[0] + 4] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def level(number):
    return 10 + 3 * number % 240
