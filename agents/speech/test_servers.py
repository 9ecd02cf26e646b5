"""The limits of both speech servers, started as programs; run by `npm test`, or `python -m unittest discover speech`."""
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import time
import unittest
import wave
from pathlib import Path
from unittest.mock import patch

import av
import guard
import numpy

FOLDER = Path(__file__).resolve().parent.parent
TOKEN = "f3b1c9a7e5d2406b8a1c"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server of its own for a test."""

    def __init__(self, name: str, *arguments: str, **variables: str):
        self.port = free_port()
        environment = {**{key: value for key, value in os.environ.items() if key not in ("STT_API_KEY", "TTS_API_KEY")}, "HF_HUB_OFFLINE": "1", **variables}
        self.process = subprocess.Popen([sys.executable, f"{name}/server.py", "--port", str(self.port), *arguments], cwd=FOLDER, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        for _ in range(600):
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return self
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError(self.process.stdout.read()) from None
                time.sleep(0.1)
        raise AssertionError("does not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.output, _ = self.process.communicate()

    def ask(self, method: str, path: str, body=None, headers={}) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def transcribe(self, audio: bytes, headers={}, **fields: str) -> tuple[int, dict]:
        edge = "edge-of-the-parts"
        parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in {"model": "whisper-1", **fields}.items()]
        parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="audio"\r\n\r\n'.encode() + audio + f"\r\n--{edge}--\r\n".encode())
        status, answer = self.ask("POST", "/v1/audio/transcriptions", b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={edge}", **headers})
        return status, json.loads(answer)

    def speak(self, text: str, headers={}) -> tuple[int, bytes]:
        return self.ask("POST", "/v1/audio/speech", json.dumps({"input": text}), {"Content-Type": "application/json", **headers})

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def silence(seconds: int) -> bytes:
    """FLAC at 48 kHz, stereo."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as out:
        stream = out.add_stream("flac", rate=48_000, layout="stereo")
        piece = av.AudioFrame.from_ndarray(numpy.zeros((1, 2 * 480_000), dtype=numpy.int16), format="s16", layout="stereo")
        piece.sample_rate = 48_000
        for _ in range(seconds // 10):
            piece.pts = None
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def wav(samples: int, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(2 * samples))
    return file.getvalue()


class Whisper(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server("whisper"))

    def test_two_hours_in_a_small_file_are_refused_before_they_are_decoded(self):
        audio, before, started = silence(7200), self.server.peak_mb(), time.monotonic()
        self.assertLess(len(audio), 1_500_000)
        self.assertEqual(self.server.transcribe(audio), (413, {"detail": "the audio is longer than 90 s"}))
        print(f"two hours of silence: {self.server.peak_mb() - before:.0f} MB more, {time.monotonic() - started:.2f} s")
        self.assertLess(self.server.peak_mb() - before, 100)

    def test_a_rate_that_makes_few_samples_long_is_refused(self):
        before = self.server.peak_mb()
        self.assertEqual(self.server.transcribe(wav(60_000, 1))[0], 413)
        self.assertLess(self.server.peak_mb() - before, 100)

    def test_what_a_call_sends_is_taken(self):
        # The longest utterance that the agents send is 60.5 s.
        self.assertEqual(self.server.transcribe(wav(61 * 16_000, 16_000)), (200, {"text": ""}))
        self.assertEqual(self.server.transcribe(silence(10)), (200, {"text": ""}))
        self.assertEqual(self.server.transcribe(b"no audio"), (400, {"detail": "the file is not audio"}))

    def test_who_has_given_up_is_not_worked_for(self):
        audio = wav(60 * 16_000, 16_000)
        body = b'--e\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + audio + b"\r\n--e--\r\n"
        with Server("whisper", "--parallel", "1") as server:
            gone = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(10)]
            for connection in gone:
                connection.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": "multipart/form-data; boundary=e"})
            for connection in gone:
                connection.close()
            self.assertEqual(server.transcribe(audio), (200, {"text": ""}))
        # The first ones were at work, or done, before their clients went.
        self.assertLess(server.output.count("transcribed"), 6, server.output)

    def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(self):
        head = b'--e\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        large = head + bytes(26 * 1024 * 1024) + b"\r\n--e--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=e"}
        refused = (413, b'{"detail":"the request is larger than 26279936 bytes"}')
        self.assertEqual(self.refusal(large, kind), refused)
        self.assertEqual(self.refusal((large[i:i + 65_536] for i in range(0, len(large), 65_536)), kind), refused)
        self.assertEqual(self.server.transcribe(wav(16_000, 16_000), prompt="x" * 5000)[0], 422)

    def refusal(self, body, headers):
        """The answer comes before the body has gone, and the connection is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        try:
            connection.request("POST", "/v1/audio/transcriptions", body, headers, encode_chunked=not isinstance(body, bytes))
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = connection.getresponse()
        return response.status, response.read()


class Speech(unittest.TestCase):
    def test_texts_are_bounded(self):
        with Server("tts") as server:
            self.assertEqual(server.speak("Hello.")[0], 200)
            self.assertEqual(server.speak("")[0], 422)
            self.assertEqual(server.speak("x" * 4097)[0], 422)
            self.assertEqual(server.speak("x" * 100_000)[0], 413)
            self.assertEqual(server.speak("1" * 1000), (400, b'{"detail":"the text cannot be spoken"}'))


class Tokens(unittest.TestCase):
    def test_a_server_that_is_reachable_from_outside_does_not_start_without_a_token(self):
        for name, variable in (("whisper", "STT_API_KEY"), ("tts", "TTS_API_KEY")):
            server = Server(name, "--host", "0.0.0.0")
            output, _ = server.process.communicate(timeout=60)
            self.assertEqual((server.process.returncode, output), (1, f"{variable} is missing: whoever reaches 0.0.0.0 could use this server. Make a token with: openssl rand -hex 32\n"))

    def test_tokens_that_are_none_are_refused(self):
        refused = {}
        for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "127.0.0.1"):
            for value in ("", "none", "short", f" {TOKEN}", "replace-me-with-something", TOKEN):
                with patch.dict(os.environ, {"STT_API_KEY": value}):
                    try:
                        found = guard.token_from("STT_API_KEY", host)
                    except SystemExit as error:
                        refused.setdefault(str(error).split(":")[0], []).append((host, value))
                    else:
                        self.assertEqual(found, TOKEN if value == TOKEN else None)
        outside = ("0.0.0.0", "::", "192.0.2.1", "example.com")
        self.assertEqual(refused["STT_API_KEY is missing"], [(host, value) for host in outside for value in ("", "none")])
        self.assertEqual(refused["STT_API_KEY is wrong"], [(host, value) for host in (*outside, "127.0.0.1") for value in ("short", f" {TOKEN}", "replace-me-with-something")])
        for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
            self.assertTrue(guard.is_loopback(host))

    def test_a_token_is_asked_for_and_taken(self):
        for name, variable in (("whisper", "STT_API_KEY"), ("tts", "TTS_API_KEY")):
            with self.subTest(name), Server(name, "--host", "0.0.0.0", **{variable: TOKEN}) as server:
                self.assertEqual(server.ask("GET", "/health")[0], 200)
                for headers in ({}, {"Authorization": "Bearer none"}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}, {"Authorization": "Bearer \xe9"}):
                    self.assertEqual(server.ask("GET", "/v1/models", headers=headers), (401, b'{"detail":"a bearer token is required"}'))
                self.assertEqual(server.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})[0], 200)


if __name__ == "__main__":
    unittest.main()
