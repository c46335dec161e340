import os
import socket
import unittest

import torch
import torch.distributed
import torch.multiprocessing

from luna_train.stage import Workers


def _one_speaks_of_one_part(rank, port, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    parts = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    parts[rank].sum().backward()
    Workers(rank, 2).sum_gradients(parts)
    results.put((rank, [part.grad.tolist() for part in parts]))
    torch.distributed.destroy_process_group()


class SummedGradients(unittest.TestCase):
    def test_a_part_that_only_one_worker_has_a_gradient_for_gets_the_mean_on_all(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        results = torch.multiprocessing.get_context("spawn").SimpleQueue()
        torch.multiprocessing.spawn(_one_speaks_of_one_part, (port, results), nprocs=2)
        for _ in range(2):
            self.assertEqual(results.get()[1], [[0.5] * 3, [0.5] * 2])


if __name__ == "__main__":
    unittest.main()
