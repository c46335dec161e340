import unittest

import numpy
import torch

from luna_train import scene as scenes
from luna_train.embedding_stage import VECTORS, Embedding, WithEmbedding, prompts_with
from luna_train.text_encoder import END, TOKENS, TextEncoder
from luna_train.tokens import tokenize, used_tokens


class Tokens(unittest.TestCase):
    def test_rows_start_end_and_are_padded_with_the_end(self):
        row = tokenize(["a red ball"])[0].tolist()
        self.assertEqual(len(row), TOKENS)
        self.assertEqual(row[0], END - 1)
        self.assertEqual(row[1:3], [320, 736])  # CLIP's "a", "red"
        self.assertNotEqual(row[3], END)
        self.assertEqual(set(row[4:]), {END})

    def test_a_long_text_still_ends(self):
        row = tokenize(["red " * 200])[0].tolist()
        self.assertEqual((len(row), row[-1]), (TOKENS, END))

    def test_the_table_holds_every_token_of_every_caption(self):
        rng, used = numpy.random.default_rng(2), set(used_tokens())
        for _ in range(2000):
            text = scenes.caption(scenes.random_scene(rng, (0.4, 0.3, 0.3)), rng)
            self.assertLessEqual(set(tokenize([text])[0].tolist()), used, text)


class EmbeddedTokens(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.text = TextEncoder(used_tokens(), 16, 4, 1)

    def test_vectors_of_words_encode_as_the_words(self):
        """What is learned stands exactly where a word would."""
        embedding = Embedding.starting_in(self.text)
        states = WithEmbedding(self.text, embedding)
        tokens = tokenize(["a moon boat at night"])
        states.places = [2]
        torch.testing.assert_close(states(tokens), self.text(tokens))

    def test_a_row_without_vectors_is_left_alone(self):
        states = WithEmbedding(self.text, Embedding(torch.ones(VECTORS, 16)))
        states.places = [0]
        tokens = tokenize([""])
        torch.testing.assert_close(states(tokens), self.text(tokens))

    def test_prompts_keep_their_length_and_have_room(self):
        tokens, places = prompts_with(numpy.random.default_rng(4), 64)
        self.assertEqual(tokens.shape, (64, TOKENS))
        for row, place in zip(tokens, places):
            if place:
                self.assertNotIn(END, row[:place].tolist())
                self.assertTrue((row[place:place + VECTORS] == END).all())


if __name__ == "__main__":
    unittest.main()
