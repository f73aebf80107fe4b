// Images without a registry: the pause image made here, archives imported, and archives of one layer packed for tests.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

const pauseImage = "docker.io/mai/pause:1"

// ctr talks to the cluster's containerd about the images and containers of Kubernetes.
func ctr(place place, arguments ...string) error {
	command := exec.Command("ctr", append([]string{"--address", place.path("containerd.sock"), "--namespace", "k8s.io"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %s (%w)", strings.Join(arguments, " "), strings.TrimSpace(string(output)), err)
	}
	return nil
}

func loadImages(place place, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load-image needs an archive, as \"docker save\" writes it")
	}
	for _, archive := range archives {
		if err := ctr(place, "images", "import", "--snapshotter", snapshotter(place), archive); err != nil {
			return err
		}
	}
	return nil
}

// importPause makes the image whose only process holds a pod's namespaces.
func importPause(place place) error {
	program, err := pauseProgram()
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	if err := writeEntry(writer, "pause", 0o755, program); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	archive := place.path("pause.tar")
	if err := packImage(pauseImage, layer.Bytes(), archive, imageConfig{Entrypoint: []string{"/pause"}}); err != nil {
		return err
	}
	defer os.Remove(archive)
	return loadImages(place, []string{archive})
}

// pauseProgram is an ELF file that does nothing but wait, in a hundred bytes instead of another compiler's work.
func pauseProgram() ([]byte, error) {
	code := map[string][]byte{
		// start: mov eax, 34 (pause); syscall; jmp start
		"amd64": {0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7},
		// start: mov x0..x3, 0; mov x8, 73 (ppoll); svc 0; b start
		"arm64": {
			0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2,
			0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfa, 0xff, 0xff, 0x17,
		},
	}[runtime.GOARCH]
	machine := map[string]byte{"amd64": 62, "arm64": 183}[runtime.GOARCH]
	if code == nil {
		return nil, fmt.Errorf("there is no pause program for %s", runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	word := func(bytes int, value uint64) []byte {
		out := make([]byte, bytes)
		for i := range out {
			out[i] = byte(value >> (8 * i))
		}
		return out
	}
	size := uint64(headers + len(code))
	return bytes.Join([][]byte{
		{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		word(2, 2), word(2, uint64(machine)), word(4, 1), // executable, machine, version
		word(8, base+headers), word(8, 64), word(8, 0), // entry, program headers, no sections
		word(4, 0), word(2, 64), word(2, 56), word(2, 1), word(2, 64), word(2, 0), word(2, 0),
		word(4, 1), word(4, 5), // load, read and execute
		word(8, 0), word(8, base), word(8, base), word(8, size), word(8, size), word(8, 0x10000),
		code,
	}, nil), nil
}

type imageConfig struct {
	User       string   `json:",omitempty"`
	Entrypoint []string `json:",omitempty"`
}

func packImageVerb(arguments []string) error {
	var config imageConfig
	flags := flag.NewFlagSet("mai-cluster pack-image", flag.ContinueOnError)
	flags.StringVar(&config.User, "user", "", "who runs it, as UID:GID")
	if len(arguments) < 4 {
		return errors.New("pack-image needs NAME:TAG, the archive of the root file system, the archive to write, and an entry point")
	}
	name, rootfs, archive := arguments[0], arguments[1], arguments[2]
	if err := flags.Parse(arguments[3:]); err != nil {
		return err
	}
	config.Entrypoint = flags.Args()
	layer, err := os.ReadFile(rootfs)
	if err != nil {
		return err
	}
	return packImage(name, layer, archive, config)
}

// packImage writes what "docker save" would.
func packImage(name string, layer []byte, archive string, config imageConfig) error {
	described, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	configName := digest(described) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	file, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	writer := tar.NewWriter(file)
	for _, entry := range []struct {
		name    string
		content []byte
	}{{configName, described}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := writeEntry(writer, entry.name, 0o644, entry.content); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return file.Close()
}

func writeEntry(writer *tar.Writer, name string, mode int64, content []byte) error {
	if err := writer.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := io.Copy(writer, bytes.NewReader(content))
	return err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
