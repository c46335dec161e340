"""The asyncio client gives what the blocking one gives."""

import asyncio
import threading

import numpy as np
import pytest
from daemon import CHECKPOINT

import luna_client
from luna_client import aio

SIZE = (4, 8, 8)


def test_the_same_picture_as_the_blocking_client(luna, daemon):
    numbers = dict(models=CHECKPOINT, width=64, steps=3, seed=1, batch=2)
    wanted = luna.generate("a cup", **numbers).pictures

    async def main():
        async with await aio.connect(daemon.address) as luna:
            return (await luna.generate("a cup", **numbers)).pictures

    assert np.array_equal(asyncio.run(main()), wanted)


def test_calls_run_side_by_side_in_one_loop(daemon, prompts):
    async def main():
        async with await aio.connect(daemon.address) as luna:
            model, clip, vae = await luna.get_model_proxies(models=CHECKPOINT)
            steps = []
            samples = await asyncio.gather(
                *(
                    model.sample(SIZE, *prompts, seed=seed, steps=2, on_progress=steps.append)
                    for seed in range(4)
                )
            )
            pixels = await vae.decode(samples[0].latent)
            kept = await luna.upload(pixels, workflow_id=vae.workflow_id)
            assert np.array_equal(await luna.download(kept), pixels)
            assert await luna.free(kept) == pixels.nbytes
            assert (await clip.tokenize("a cup"))["l"]
            assert (await luna.models.list()).files and (await luna.status()).sessions
            assert await luna.ping() < 5
            return len(samples), len(steps)

    assert asyncio.run(main()) == (4, 8)


def test_a_cancelled_task_ends_its_work_on_the_server(daemon, prompts):
    async def main():
        async with await aio.connect(daemon.address) as luna:
            model = (await luna.get_model_proxies(models=CHECKPOINT)).model
            begun = asyncio.Event()
            task = asyncio.create_task(
                model.sample(SIZE, *prompts, steps=5000, on_progress=lambda step: begun.set())
            )
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(500):
                if (await luna.status()).jobs.running == 0:
                    return True
                await asyncio.sleep(0.02)
            return False

    assert asyncio.run(main())


def test_a_cancel_object_works_from_any_thread(daemon, prompts):
    async def main():
        async with await aio.connect(daemon.address) as luna:
            model = (await luna.get_model_proxies(models=CHECKPOINT)).model
            cancel = luna_client.Cancel()
            threading.Timer(0.5, cancel).start()
            with pytest.raises(luna_client.Cancelled):
                await model.sample(SIZE, *prompts, steps=5000, cancel=cancel)
            with pytest.raises(luna_client.DeadlineExceeded):
                await model.sample(SIZE, *prompts, steps=5000, timeout=0.5)

    asyncio.run(main())


def test_it_outlives_its_daemon(own_daemon):
    async def main():
        async with await aio.connect(own_daemon.address) as luna:
            clip = (await luna.get_model_proxies(models=CHECKPOINT)).clip
            before = (await clip.encode("a cup"))[0].cross_attn
            await asyncio.to_thread(own_daemon.kill)
            await asyncio.to_thread(own_daemon.start)
            assert np.array_equal((await clip.encode("a cup"))[0].cross_attn, before)

    asyncio.run(main())


def test_nobody_there_is_unavailable(tmp_path):
    with pytest.raises(luna_client.Unavailable, match="start lunad"):
        asyncio.run(aio.connect(f"unix:{tmp_path}/none.sock"))
