"""What the Python suites share: features come as arguments, verdicts go to standard output (see ../script.go)."""
import concurrent.futures
import os
import sys
import threading
import traceback

BOOTSTRAP = os.environ["BOOTSTRAP"]
REPLICAS = int(os.environ["REPLICAS"])
PATIENCE = 60
_names = 0


class Skip(Exception):
    pass


def name(what):
    """A name that no other run and no other suite uses."""
    global _names
    _names += 1
    suite = os.path.basename(sys.argv[0]).removesuffix(".py")
    return f"{what}-{suite}-{os.environ['RUN']}-{_names}"


def check(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: {got!r}, not {want!r}")


def run(features):
    """Tries each feature on a thread that is left behind when its time is over."""
    for feature in sys.argv[1:]:
        verdict = concurrent.futures.Future()

        def attempt():
            try:
                features[feature]()
                verdict.set_result(f"pass {feature}")
            except Skip as why:
                verdict.set_result(f"skip {feature}: {why}")
            except BaseException as why:
                traceback.print_exc()
                verdict.set_result(f"fail {feature}: {type(why).__name__}: {str(why).splitlines()[:1]}")

        threading.Thread(target=attempt, daemon=True).start()
        try:
            print(verdict.result(PATIENCE), flush=True)
        except concurrent.futures.TimeoutError:
            print(f"fail {feature}: no end after {PATIENCE} s", flush=True)
    sys.stdout.flush()
    os._exit(0)
