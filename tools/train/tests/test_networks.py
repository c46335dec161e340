import unittest

import torch

from luna_train.autoencoder import Autoencoder
from luna_train.diffusion import add_noise, alpha_bars, ddim
from luna_train.preview_stage import PreviewDecoder
from luna_train.upscaler_stage import Upscaler

try:
    import spandrel
except ImportError:
    spandrel = None


class Vae(unittest.TestCase):
    def test_normalising_the_latents_keeps_the_pictures(self):
        torch.manual_seed(5)
        vae = Autoencoder((8, 8, 8, 8), groups=4).double()
        pixels = torch.rand(4, 3, 32, 32, dtype=torch.float64) * 2 - 1
        with torch.no_grad():
            mean, log_variance = vae.encode(pixels)
            before = vae.decode(mean)
            vae.normalise(mean.mean((0, 2, 3)), mean.std((0, 2, 3)))
            after, after_log_variance = vae.encode(pixels)
            torch.testing.assert_close(vae.decode(after), before)
        torch.testing.assert_close((after * 0.18215).std((0, 2, 3)), torch.ones(4, dtype=torch.float64))
        torch.testing.assert_close((after * 0.18215).mean((0, 2, 3)), torch.zeros(4, dtype=torch.float64))
        gain = after.std((0, 2, 3)) / mean.std((0, 2, 3))
        torch.testing.assert_close(after_log_variance - log_variance, (2 * gain.log()).view(1, 4, 1, 1).expand_as(mean))


class Diffusion(unittest.TestCase):
    def test_true_noise_gives_the_latent_back(self):
        latent, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
        bars = alpha_bars()[torch.tensor([10, 600])]
        noisy, bars = add_noise(latent, noise, bars), bars.view(-1, 1, 1, 1)
        torch.testing.assert_close((noisy - (1 - bars).sqrt() * noise) / bars.sqrt(), latent, rtol=1e-4, atol=1e-4)

    def test_the_sampler_reaches_the_latent_that_the_noise_predictor_knows(self):
        latent, bars = torch.randn(2, 4, 4, 4), alpha_bars()

        def knows(x, timesteps, _):
            bar = bars[timesteps].view(-1, 1, 1, 1)
            return (x - bar.sqrt() * latent.repeat(2, 1, 1, 1)) / (1 - bar).sqrt()

        context = torch.zeros(1, 3, 8)
        torch.testing.assert_close(ddim(knows, context, context, latent.shape, steps=10), latent, rtol=1e-3, atol=1e-3)


class Preview(unittest.TestCase):
    def test_it_has_taesd_decoders_names(self):
        names = set(PreviewDecoder().state_dict())
        self.assertLessEqual({"1.weight", "1.bias", "3.conv.0.weight", "3.conv.2.bias", "7.weight", "10.conv.4.weight",
                              "12.weight", "17.weight", "18.conv.0.weight", "19.bias"}, names)
        self.assertFalse(names & {"7.bias", "12.bias", "17.bias"})

    def test_pictures_are_eight_times_the_latents_size(self):
        self.assertEqual(PreviewDecoder()(torch.zeros(1, 4, 3, 5)).shape, (1, 3, 24, 40))


class Upscaling(unittest.TestCase):
    def test_untrained_it_nearly_repeats_pixels(self):
        """So training starts from an enlargement, not from noise."""
        torch.manual_seed(6)
        small = torch.rand(1, 3, 16, 16)
        with torch.no_grad():
            off = (Upscaler()(small) - small.repeat_interleave(4, 2).repeat_interleave(4, 3)).abs().mean()
        self.assertLess(off, 0.1)

    def test_its_file_is_at_most_600_kilobytes(self):
        self.assertLess(2 * sum(p.numel() for p in Upscaler().parameters()), 600_000)

    @unittest.skipIf(spandrel is None, "needs spandrel")
    def test_spandrel_reads_it_and_makes_the_same_picture(self):
        ours = Upscaler().eval()
        theirs = spandrel.ModelLoader().load_from_state_dict(ours.state_dict())
        self.assertEqual((theirs.architecture.id, theirs.scale), ("ESRGAN", 4))
        small = torch.rand(1, 3, 16, 16)
        with torch.no_grad():
            torch.testing.assert_close(theirs.model.eval()(small), ours(small), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
