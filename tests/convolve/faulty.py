"""Functions that ask in oneDNN's place, and fail at the question that the environment names."""

import os
import time

from jaxcnn.convolve._verify_child import ask

FAULTY = "JAXCNN_TEST_FAULTY"


def _is_faulty(question):
    return repr(question) == os.environ[FAULTY]


def aborts(question, operands):
    if _is_faulty(question):
        os.abort()
    return ask(question, operands)


def hangs(question, operands):
    if _is_faulty(question):
        time.sleep(10_000)
    return ask(question, operands)


def errs(question, operands):
    answer = ask(question, operands)
    return answer.at[(0,) * answer.ndim].add(0.1) if _is_faulty(question) else answer


def serves_another_way(question, operands):
    answer = ask(question, operands)
    if _is_faulty(question):
        line = "onednn_verbose,v1,primitive,exec,cpu,convolution,x64:gemm:jit,forward\n"
        os.write(1, line.encode())
    return answer
