"""A small text-to-speech server for tests and trials: OpenAI's speech endpoint over the hibari voice (US English)."""
import argparse
import io
import sys
import threading
import wave
from pathlib import Path

import numpy
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import Response
from hibari import Hibari
from pydantic import BaseModel, Field

sys.path.append(str(Path(__file__).resolve().parent.parent / "speech"))
from guard import Guard, token_from  # noqa: E402

SAMPLE_RATE = 24_000
LEAD = SAMPLE_RATE // 100  # samples of silence kept before the first sound
LOUD = 0.01  # of full scale
MAX_TEXT = 4096  # characters, OpenAI's own limit: four minutes of speech, made in three seconds
MAX_BODY = 64 * 1024  # bytes


class Speech(BaseModel):
    input: str = Field(min_length=1, max_length=MAX_TEXT)
    model: str = "tts-1"
    voice: str = "alloy"
    response_format: str = "wav"
    speed: float = Field(1.0, ge=0.5, le=2.0)


def trimmed(samples: numpy.ndarray) -> numpy.ndarray:
    """Without the silence at the start: the voice begins 0.3 s late, which the caller would wait for."""
    loud = numpy.flatnonzero(numpy.abs(samples) > LOUD)
    return samples if loud.size == 0 else samples[max(0, loud[0] - LEAD):]


def create_app(voice: Hibari, token: str | None) -> FastAPI:
    app = FastAPI(title="tts", docs_url=None, redoc_url=None)
    app.add_middleware(Guard, token=token, max_body=MAX_BODY)
    one_at_a_time = threading.Lock()

    @app.get("/health")
    async def health():
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models():
        return {"object": "list", "data": [{"id": "tts-1", "object": "model", "owned_by": "local"}]}

    @app.post("/v1/audio/speech")
    def speak(speech: Speech):
        if speech.response_format not in ("pcm", "wav"):
            raise HTTPException(400, "response_format must be pcm or wav")
        with one_at_a_time:
            try:
                samples = trimmed(voice(speech.input, speed=speech.speed, seed=1))
            except Exception:
                raise HTTPException(400, "the text cannot be spoken") from None
        pcm = (numpy.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
        if speech.response_format == "pcm":
            return Response(pcm, media_type="audio/pcm")
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(pcm)
        return Response(out.getvalue(), media_type="audio/wav")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args()
    token = token_from("TTS_API_KEY", options.host)
    voice = Hibari()
    voice("Ready.")
    uvicorn.run(create_app(voice, token), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
