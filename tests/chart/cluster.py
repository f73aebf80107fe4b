"""A real Kubernetes, with a node where one is wanted, for as long as a class of tests runs. It ends with the tests, however they end."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import helm_python as helm
import yaml
from stage import ROOT



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

    def load_own_image(self, name):
        """The very binary under test as the Dockerfile has it, with the libraries it was linked with, known to the node by this name."""
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
