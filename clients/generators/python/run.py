"""Runs an execution with the generated client: `run.py http://127.0.0.1:8080`. The stack needs a job `echo` that runs `cat`."""

import sys
import time

from longhaul_client import Client
from longhaul_client.api.executions import get_execution, get_execution_logs, list_executions, start_sync_execution
from longhaul_client.models import Code, Execution, ExecutionPage, LogLines, NewExecution, Pattern, Problem, Status


def main(url: str) -> None:
    with Client(base_url=url) as client:
        message = {"message": "Hello"}
        execution = start_sync_execution.sync(client=client, body=NewExecution(input_=message, job="echo"))
        assert isinstance(execution, Execution), execution
        assert execution.pattern is Pattern.SYNC
        while not execution.done:
            time.sleep(0.1)
            execution = get_execution.sync(execution.execution_id, client=client)
            assert isinstance(execution, Execution), execution
        assert (execution.status, execution.exit_code) == (Status.COMPLETED, 0), execution
        assert execution.result == message, execution

        logs = get_execution_logs.sync(execution.execution_id, client=client)
        assert isinstance(logs, LogLines) and len(logs.lines) == 1, logs
        page = list_executions.sync(client=client, job="echo")
        assert isinstance(page, ExecutionPage) and page.executions[0].execution_id == execution.execution_id, page

        problem = get_execution.sync("nothing", client=client)
        assert isinstance(problem, Problem) and problem.code is Code.EXECUTION_NOT_FOUND, problem


main(sys.argv[1])
