"""A real Kubernetes, with or without a node, for one class of tests. It ends with the tests."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

import helm_python as helm
import yaml
from environment import ROOT


def wait_for(found, seconds=180):
    """Calls `found` until it returns a true value; returns the last one."""
    until = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < until:
        time.sleep(0.3)
    return answer


class Cluster:
    def __init__(self, node=False):
        self._directory = tempfile.mkdtemp(prefix="mai-chart-")
        # A new session, so that Ctrl-C reaches the tests alone; --attached ends it with its standard input.
        self._process = subprocess.Popen(
            [os.environ["MAI_CLUSTER"], "--dir", self._directory, "up", *([] if node else ["--control-plane"]), "--attached", "--discard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        output = []
        for line in self._process.stdout:
            output.append(line)
            if line.strip() == "ready":
                return
        self.close()
        raise RuntimeError(f"the tests' Kubernetes did not start: {''.join(output)}")

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=180)
        self._process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def load_own_image(self, name):
        """Loads an image of the binary under test and its shared libraries onto the node, laid out like the real image."""
        mai = os.environ["MAI"]
        rootfs, archive = Path(self._directory, "rootfs.tar"), Path(self._directory, "image.tar")
        with rootfs.open("wb") as out:
            subprocess.run([ROOT / "image/rootfs", mai], stdout=out, check=True)
        linked = subprocess.run(["ldd", mai], capture_output=True, text=True, check=False).stdout
        libraries = [word for word in linked.split() if word.startswith("/")]
        if libraries:
            subprocess.run(["tar", "-C", "/", "--dereference", "-rf", rootfs, *libraries], check=True, stderr=subprocess.DEVNULL)
        with rootfs.open("rb") as layer:
            digest = hashlib.file_digest(layer, "sha256").hexdigest()
        config = json.dumps({
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
            "os": "linux",
            "config": {"User": "65532:65532", "Entrypoint": ["/usr/local/bin/mai"], "Cmd": ["serve"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        })
        manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}])
        with tarfile.open(archive, "w") as image:
            image.add(rootfs, "layer.tar")
            for path, text in (("config.json", config), ("manifest.json", manifest)):
                entry = tarfile.TarInfo(path)
                entry.size = len(text.encode())
                image.addfile(entry, BytesIO(text.encode()))
        subprocess.run([os.environ["MAI_CLUSTER"], "--dir", self._directory, "load-image", archive], check=True)
        rootfs.unlink()
        archive.unlink()

    def helm(self, namespace="mai-system"):
        """Returns Helm with the rights of the administrator."""
        return helm.Config(kubeconfig_path=f"{self._directory}/kubeconfig/admin", namespace=namespace)

    def kubectl(self, *arguments, stdin=None):
        """Returns the exit code and the output of kubectl."""
        command = [os.environ["MAI_CLUSTER"], "--dir", self._directory, "kubectl", *arguments]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    def apply(self, *documents):
        code, output = self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
        assert code == 0, output
        return output

    def get(self, *arguments):
        """Returns an object, or None if it does not exist."""
        code, output = self.kubectl("get", *arguments, "-o", "yaml")
        if code != 0:
            assert "NotFound" in output, output
            return None
        return yaml.safe_load(output)

    def may(self, who, verb, resource, namespace=None, below=None):
        """Returns True if the API server permits this, in all namespaces without `namespace`. `below` is a subresource."""
        scope = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        subresource = [f"--subresource={below}"] if below else []
        code, output = self.kubectl("auth", "can-i", verb, resource, "--as", who, *subresource, *scope)
        answer = output.strip().splitlines()[-1].split(" ")[0]
        assert answer in ("yes", "no") and code == (0 if answer == "yes" else 1), output
        return answer == "yes"
