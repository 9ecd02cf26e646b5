"""The short window of the Whisper server; run by `npm run e2e`, or `python -m unittest discover whisper`."""
import unittest
from unittest.mock import patch

import numpy
import server
from hibari import Hibari

OPTIONS = {"language": "en", "temperature": 0.0, "beam_size": 1, "without_timestamps": True, "condition_on_previous_text": False}


def speak(text: str) -> numpy.ndarray:
    """A text in the voice of the tests, at the rate Whisper wants."""
    samples = numpy.asarray(Hibari()(text, seed=1))
    places = numpy.arange(0, len(samples), 24_000 / server.SAMPLE_RATE)
    return numpy.interp(places, numpy.arange(len(samples)), samples).astype(numpy.float32)


class Windows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = server.ShortWindow(str(server.find_model(None, None)), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)

    def recognise(self, audio):
        """The text, and the frames the encoder was given each time."""
        frames = []
        encode = self.model.model.encode

        class Spy:
            def __getattr__(spy, name):
                return getattr(inner, name)

            def encode(spy, features, **options):
                frames.append(features.shape[-1])
                return encode(features, **options)

        inner, self.model.model = self.model.model, Spy()
        try:
            parts, _ = self.model.recognise(audio, **OPTIONS)
        finally:
            self.model.model = inner
        return "".join(part.text for part in parts).strip(), frames

    def test_an_utterance_is_heard_once_in_a_short_window(self):
        self.assertEqual(self.recognise(speak("What is the weather in Paris today?")), ("What is the weather in Paris today?", [1000]))

    def test_a_model_that_repeats_itself_is_asked_again_in_the_full_window(self):
        # A window without room behind the speech provokes it: the sentence comes twice, a word without end.
        for said, window in (("What is the weather in Paris today?", 216), ("Yes.", 82)):
            with self.subTest(said), patch.object(server, "window_for", return_value=window):
                self.assertEqual(self.recognise(speak(said)), (said, [window, server.FULL_WINDOW]))

    def test_a_long_recording_has_the_full_window_from_the_start(self):
        sentence = speak("I slept badly last night and my left knee hurts when I climb the stairs.")
        _, frames = self.recognise(numpy.tile(sentence, 9))
        self.assertEqual(frames, [server.FULL_WINDOW] * 2)

    def test_a_prompt_and_long_speech(self):
        audio = numpy.tile(speak("I slept badly last night and my left knee hurts when I climb the stairs."), 5)
        parts, _ = self.model.recognise(audio, **OPTIONS, initial_prompt=" ".join(f"number {n}" for n in range(100)))
        self.assertIn("I slept badly", "".join(part.text for part in parts))

    def test_windows_leave_three_seconds(self):
        for seconds, window in ((0, 1000), (0.1, 1000), (7, 1000), (7.1, 1100), (26, 2900), (27, 3000), (1000, 3000)):
            self.assertEqual(server.window_for(seconds), window, seconds)


if __name__ == "__main__":
    unittest.main()
