"""A real Kubernetes without a node, for as long as a class of tests runs. It ends with the tests, however they end."""

import os
import shutil
import subprocess
import tempfile

import helm_python as helm
import yaml


class Cluster:
    def __init__(self):
        self._directory = tempfile.mkdtemp(prefix="mai-chart-")
        # A new session, so that Ctrl-C reaches the tests alone; --attached ends it with its standard input.
        self._process = subprocess.Popen(
            [os.environ["MAI_CLUSTER"], "--dir", self._directory, "up", "--control-plane", "--attached", "--discard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        said = []
        for line in self._process.stdout:
            said.append(line)
            if line.strip() == "ready":
                return
        self.close()
        raise RuntimeError(f"the tests' Kubernetes did not start: {''.join(said)}")

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def helm(self, namespace="mai-system"):
        """Helm, as the administrator."""
        return helm.Config(kubeconfig_path=f"{self._directory}/kubeconfig/admin", namespace=namespace)

    def kubectl(self, *arguments, stdin=None):
        """Exit code, and what kubectl printed."""
        command = [os.environ["MAI_CLUSTER"], "--dir", self._directory, "kubectl", *arguments]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    def apply(self, *documents):
        code, said = self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
        assert code == 0, said
        return said

    def get(self, *arguments):
        """An object, or None where there is none."""
        code, said = self.kubectl("get", *arguments, "-o", "yaml")
        if code != 0:
            assert "NotFound" in said, said
            return None
        return yaml.safe_load(said)

    def may(self, who, verb, resource, namespace=None, below=None):
        """Whether the API server lets someone do this; without a namespace, in all of them. `below` is a subresource."""
        scope = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        subresource = [f"--subresource={below}"] if below else []
        code, said = self.kubectl("auth", "can-i", verb, resource, "--as", who, *subresource, *scope)
        answer = said.strip().splitlines()[-1].split(" ")[0]
        assert answer in ("yes", "no") and code == (0 if answer == "yes" else 1), said
        return answer == "yes"
