import dataclasses
import unittest

import numpy

from luna_train import scene as scenes
from luna_train.classifier import any_scene, in_order
from luna_train.drawing import pixels


class Scenes(unittest.TestCase):
    def setUp(self):
        self.rng = numpy.random.default_rng(1)

    def test_training_never_shows_a_held_out_pair(self):
        for _ in range(5000):
            for thing in scenes.random_scene(self.rng, (0.4, 0.3, 0.3), two_objects=0.4).things:
                self.assertNotIn((thing.object, thing.colour), scenes.HELD_OUT_PAIRS)

    def test_every_object_lacks_one_colour(self):
        self.assertEqual(sorted(pair[0] for pair in scenes.HELD_OUT_PAIRS), sorted(scenes.OBJECTS))

    def test_held_out_scenes_show_nothing_else(self):
        for _ in range(500):
            thing, = scenes.held_out_scene(self.rng).things
            self.assertIn((thing.object, thing.colour), scenes.HELD_OUT_PAIRS)

    def test_the_judge_sees_every_pair(self):
        seen = {(t.object, t.colour) for _ in range(5000) for t in any_scene(self.rng).things}
        self.assertEqual(len(seen), len(scenes.OBJECTS) * len(scenes.COLOURS))

    def test_the_judge_names_the_left_or_upper_object_first(self):
        right, left = scenes.Thing("cat", "red", "right"), scenes.Thing("cup", "blue", "left")
        self.assertEqual(in_order((right, left)), [left, right])
        top, bottom = scenes.Thing("cat", "red", "top"), scenes.Thing("cup", "blue", "bottom")
        self.assertEqual(in_order((bottom, top)), [top, bottom])

    def test_a_complete_caption_names_everything(self):
        for _ in range(1000):
            scene = scenes.random_scene(self.rng, (0.4, 0.3, 0.3))
            text = scenes.caption(scene, self.rng, complete=True)
            self.assertTrue(any(phrase in text for phrase in scenes.BACKGROUND_PHRASES[scene.background]), text)
            self.assertTrue(any(text.startswith(phrase) for phrase in scenes.STYLE_PHRASES[scene.style]), text)
            for thing in scene.things:
                self.assertIn(thing.colour, text)
                self.assertTrue(any(noun in text for noun in scenes.SYNONYMS.get(thing.object, (thing.object,))), text)
                self.assertTrue(any(word in text for word in scenes.SIZE_WORDS[thing.size]), text)
                if thing.count == 1:
                    self.assertTrue(any(phrase in text for phrase in scenes.POSITION_PHRASES[thing.position]), text)
                else:
                    self.assertIn(scenes.NUMBER_WORDS[thing.count], text)

    def test_the_same_scene_is_the_same_picture(self):
        scene = scenes.random_scene(self.rng)
        picture = pixels(scene, 64)
        self.assertEqual(picture.shape, (64, 64, 3))
        self.assertTrue((picture == pixels(scene, 64)).all())

    def test_a_duotone_print_knows_brightness_alone(self):
        scene = dataclasses.replace(scenes.random_scene(self.rng, (1.0,)), style="duotone")
        picture = pixels(scene, 64).reshape(-1, 3).astype(int)
        order = picture[picture.sum(1).argsort()]
        self.assertTrue((order[:, 1] >= numpy.maximum.accumulate(order[:, 1]) - 1).all(), "green rises with brightness")
        self.assertNotIn("duotone", scenes.caption(scene, self.rng, complete=True))


if __name__ == "__main__":
    unittest.main()
