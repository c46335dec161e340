"""Luna Daemon Status: whether a daemon is there, and what it holds."""

import json
import time
from typing import Any

import luna_client
from google.protobuf.json_format import MessageToDict

from . import connection

_MIB = 1 << 20


def _worker_line(worker: Any) -> str:
    return (
        f"worker {worker.worker_id} on {worker.device_name or worker.device}: {worker.state}, "
        f"{worker.jobs_running} running, {worker.jobs_queued} waiting, "
        f"{worker.resident_bytes // _MIB} MiB of models"
    )


def _workflow_line(workflow: Any) -> str:
    files = ", ".join(
        dict.fromkeys(entry.model.file.rsplit("/", 1)[-1] for entry in workflow.resolved)
    )
    return (
        f"workflow {workflow.workflow_id}: {files}; {workflow.calls} calls, "
        f"{workflow.model_bytes // _MIB} MiB"
    )


def as_text(status: Any, address: str) -> str:
    """A page for people."""
    models = {
        model.info.content_hash or model.info.description: model
        for worker in status.workers
        for model in worker.models
    }
    lines = [
        f"lunad {status.version} at {address}, up {status.uptime_seconds:.0f} s, "
        f"{status.sessions} client(s)" + (", being stopped" if status.draining else ""),
        *(_worker_line(worker) for worker in status.workers),
        *(
            f"model {model.info.family} {model.info.description}: "
            f"{model.resident_bytes // _MIB} MiB"
            for model in models.values()
        ),
        *(_workflow_line(workflow) for workflow in status.workflows),
        f"jobs: {status.jobs.done} done, {status.jobs.running} running, "
        f"{status.jobs.queued} waiting, "
        f"{status.jobs.failed} failed",
    ]
    return "\n".join(lines)


class LunaDaemonStatus:
    """Never an error: that no daemon is there is an answer too."""

    RETURN_TYPES = ("STRING", "STRING", "BOOLEAN")
    RETURN_NAMES = ("status", "json", "running")
    FUNCTION = "status"
    CATEGORY = "Luna"
    OUTPUT_NODE = True
    DESCRIPTION = "Shows whether Luna's daemon runs, its workers, models and workflows."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {},
            "optional": {
                "daemon_address": ("STRING", {"default": ""}),
                "after": ("*", {"tooltip": "Anything: the status is taken when it is there."}),
            },
        }

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        return time.time()

    @classmethod
    def VALIDATE_INPUTS(cls, input_types: dict[str, str]) -> bool:
        return True

    def status(self, daemon_address: str = "", after: Any = None) -> dict[str, Any]:
        try:
            luna = connection.session(daemon_address.strip())
            reply = luna.status(timeout=5.0)
        except luna_client.LunaError as away:
            text = f"no daemon: {away}"
            return self._result(text, {"running": False, "error": str(away)}, False)
        answer = MessageToDict(reply, preserving_proto_field_name=True)
        answer.update(running=True, address=luna.address)
        return self._result(as_text(reply, luna.address), answer, True)

    @staticmethod
    def _result(text: str, answer: dict[str, Any], running: bool) -> dict[str, Any]:
        return {"ui": {"text": [text]}, "result": (text, json.dumps(answer, indent=1), running)}
