"""Cancels, deadlines, restarts of the daemon, forks: nothing hangs, what can be had again is."""

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest
from daemon import CHECKPOINT, Daemon, eventually

import luna_client

SIZE = (4, 8, 8)
FOREVER = dict(seed=1, steps=5000)


def idle(luna):
    jobs = luna.status().jobs
    return jobs.running == 0 and jobs.queued == 0


def test_a_cancel_from_another_thread_ends_the_work_on_the_server(luna, proxies, prompts):
    cancel, begun = luna_client.Cancel(), threading.Event()
    threading.Thread(target=lambda: (begun.wait(30), cancel())).start()
    with pytest.raises(luna_client.Cancelled):
        proxies.model.sample(
            SIZE, *prompts, on_progress=lambda step: begun.set(), cancel=cancel, **FOREVER
        )
    eventually(lambda: idle(luna))
    assert cancel.cancelled


def test_a_cancelled_cancel_stays_so(proxies, prompts):
    cancel = luna_client.Cancel()
    cancel()
    with pytest.raises(luna_client.Cancelled, match="before it was made"):
        proxies.model.sample(SIZE, *prompts, cancel=cancel, **FOREVER)


def test_what_a_progress_callback_raises_comes_out_and_ends_the_work(luna, proxies, prompts):
    class Interrupted(Exception):
        pass

    def stop(step):
        assert threading.current_thread() is threading.main_thread()
        raise Interrupted

    with pytest.raises(Interrupted):
        proxies.model.sample(SIZE, *prompts, on_progress=stop, **FOREVER)
    eventually(lambda: idle(luna))


def test_an_interrupt_ends_the_work_on_the_server(luna, proxies, prompts):
    def interrupt(step):
        if step.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        proxies.model.sample(SIZE, *prompts, on_progress=interrupt, **FOREVER)
    eventually(lambda: idle(luna))


def test_an_interrupt_ends_every_stage_of_a_generation(luna):
    def interrupt(progress):
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        luna.generate("a cup", models=CHECKPOINT, width=64, steps=5000, on_progress=interrupt)
    eventually(lambda: idle(luna))


def test_a_timeout_is_the_servers_deadline_too(luna, proxies, prompts):
    with pytest.raises(luna_client.DeadlineExceeded):
        proxies.model.sample(SIZE, *prompts, timeout=0.5, **FOREVER)
    eventually(lambda: idle(luna))
    with pytest.raises(luna_client.DeadlineExceeded, match="sampling"):
        luna.generate("a cup", models=CHECKPOINT, width=64, steps=5000, timeout=3)


def test_many_threads_share_one_client(luna, proxies, prompts):
    wanted = proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent
    results = [None] * 6

    def work(index):
        results[index] = proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.abs(result - wanted).max() < 1e-3 * np.abs(wanted).max() for result in results)


def test_a_daemon_that_was_killed_between_two_calls_is_not_noticed(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        model, clip, _ = luna.get_model_proxies("mine", models=CHECKPOINT)
        prompt = clip.encode("a cup")
        before = model.sample(SIZE, prompt, prompt, seed=1, steps=2).latent
        session = luna.session_id
        own_daemon.kill()
        own_daemon.start()
        assert np.array_equal(model.sample(SIZE, prompt, prompt, seed=1, steps=2).latent, before)
        assert luna.session_id != session
        assert [each.workflow_id for each in luna.list_workflows()] == ["mine"]


def test_a_daemon_that_comes_back_within_the_wait_is_waited_for(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        clip = luna.get_model_proxies(models=CHECKPOINT).clip
        own_daemon.kill()
        later = threading.Timer(0.7, own_daemon.start)
        later.start()
        assert clip.encode("a cup")[0].cross_attn.ndim == 3
        later.join()


def test_a_daemon_killed_under_a_call_is_asked_again_once(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        prompt = clip.encode("a cup")
        plain = model.sample(SIZE, prompt, prompt, seed=1, steps=8).latent
        killed = []

        def kill(step):
            if step.step == 3 and not killed:
                killed.append(True)
                own_daemon.kill()
                own_daemon.start()

        again = model.sample(SIZE, prompt, prompt, seed=1, steps=8, on_progress=kill).latent
        assert killed and np.array_equal(again, plain)


def test_resident_tensors_of_a_daemon_that_died_are_told_so(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        vae = luna.get_model_proxies(models=CHECKPOINT).vae
        kept = luna.upload(np.zeros((1, *SIZE), np.float32), workflow_id=vae.workflow_id)
        own_daemon.kill()
        own_daemon.start()
        with pytest.raises(luna_client.SessionLost, match="make it again"):
            vae.decode(kept)
        assert vae.decode(np.zeros((1, *SIZE), np.float32)).shape == (1, 64, 64, 3)


def test_a_daemon_that_stops_politely_is_waited_for(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        prompt = clip.encode("a cup")
        begun = threading.Event()
        long = threading.Thread(
            target=lambda: model.sample(
                SIZE, prompt, prompt, steps=60, on_progress=lambda step: begun.set()
            )
        )
        long.start()
        assert begun.wait(60)
        restart = threading.Thread(target=lambda: (own_daemon.stop(), own_daemon.start()))
        restart.start()
        assert model.sample(SIZE, prompt, prompt, steps=2).latent.shape == (1, *SIZE)
        long.join()
        restart.join()


def test_ensure_says_whether_it_had_to_connect(own_daemon):
    with luna_client.connect(own_daemon.address) as luna:
        luna.register_workflow(CHECKPOINT, workflow_id="mine")
        assert luna.ensure() is False
        own_daemon.kill()
        own_daemon.start()
        eventually(lambda: luna.ensure())
        assert [each.workflow_id for each in luna.list_workflows()] == ["mine"]


def test_who_does_not_want_to_wait_is_told_at_once(own_daemon):
    with luna_client.connect(own_daemon.address, restart_wait=0, timeout=1) as luna:
        own_daemon.kill()
        begin = time.monotonic()
        for _ in range(2):
            with pytest.raises(luna_client.Unavailable, match=r"start lunad|connects again"):
                luna.status()
        assert time.monotonic() - begin < 20


def test_a_lease_that_ran_out_is_registered_again_by_the_next_call(luna, daemon):
    clip = luna.get_model_proxies("short", models=CHECKPOINT).clip
    with luna_client.connect(daemon.address) as other:
        other.release_workflow("short")
    assert clip.encode("a cup")[0].cross_attn.ndim == 3


def test_what_was_released_here_stays_released(luna):
    clip = luna.get_model_proxies("gone", models=CHECKPOINT).clip
    luna.release_workflow("gone")
    with pytest.raises(luna_client.NotFound, match="gone"):
        clip.encode("a cup")


def test_a_fork_is_told_and_does_not_hurt_the_parent(luna):
    child = os.fork()
    if child == 0:
        try:
            luna.status()
        except luna_client.ForkedProcess as error:
            os._exit(0 if "connect in the child" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert luna.status().sessions >= 1


def test_a_closed_client_says_so_and_may_be_closed_again(daemon):
    luna = luna_client.connect(daemon.address)
    luna.close()
    luna.close()
    with pytest.raises(luna_client.Cancelled, match="closed"):
        luna.status()


def test_no_daemon_and_what_is_none_are_told_with_what_to_do(tmp_path):
    with pytest.raises(luna_client.Unavailable, match="start lunad"):
        luna_client.connect(f"unix:{tmp_path}/none.sock")
    with pytest.raises(luna_client.InvalidRequest, match="unix:/path/to/socket"):
        luna_client.connect("somewhere")


def test_sessions_end_with_their_clients(daemon, luna):
    before = luna.status().sessions
    others = [luna_client.connect(daemon.address) for _ in range(3)]
    assert luna.status().sessions == before + 3
    for other in others:
        other.close()
    eventually(lambda: luna.status().sessions == before)


def test_a_full_queue_says_when_to_come_back(tmp_path):
    daemon = Daemon(tmp_path, limits="queue_per_workflow = 1").start()
    try:
        with luna_client.connect(daemon.address) as luna:
            model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
            prompt = clip.encode("a cup")
            cancel, begun = luna_client.Cancel(), threading.Event()

            def long():
                with pytest.raises(luna_client.Cancelled):
                    model.sample(
                        SIZE,
                        prompt,
                        prompt,
                        cancel=cancel,
                        on_progress=lambda step: begun.set(),
                        **FOREVER,
                    )

            thread = threading.Thread(target=long)
            thread.start()
            assert begun.wait(60)
            with pytest.raises(luna_client.ResourceExhausted) as caught:
                model.sample(SIZE, prompt, prompt, steps=1)
            assert caught.value.retry_after and caught.value.retry_after > 0
            cancel()
            thread.join()
    finally:
        daemon.stop()


def test_the_log_is_quiet_where_nothing_is_wrong(daemon, caplog):
    with (
        caplog.at_level(logging.WARNING, "luna_client"),
        luna_client.connect(daemon.address) as luna,
    ):
        luna.status()
    assert not caplog.records
