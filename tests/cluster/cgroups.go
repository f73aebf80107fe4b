// Control groups: one of the cluster's own in each hierarchy, and its removal with everything below it.
package main

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirectories is one with cgroup v2 and one for each controller with v1.
func cgroupDirectories(n number) []string {
	if exists(filepath.Join(cgroupRoot, "cgroup.controllers")) {
		return []string{filepath.Join(cgroupRoot, n.cgroup())}
	}
	hierarchies, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	var directories []string
	for _, hierarchy := range hierarchies {
		directories = append(directories, filepath.Join(filepath.Dir(hierarchy), n.cgroup()))
	}
	return directories
}

func makeCgroups(n number) error {
	removeCgroups(n)
	for _, directory := range cgroupDirectories(n) {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
		for _, level := range []string{filepath.Dir(directory), directory} {
			control := filepath.Join(level, "cgroup.subtree_control")
			for _, controller := range []string{"+cpu", "+cpuset", "+memory", "+pids", "+io", "+hugetlb"} {
				if exists(control) {
					// Which of them there are differs by machine; the kubelet says what it misses.
					_ = os.WriteFile(control, []byte(controller), 0o644)
				}
			}
		}
	}
	return nil
}

func removeCgroups(n number) {
	for _, directory := range cgroupDirectories(n) {
		var groups []string
		_ = filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		slices.Reverse(groups)
		for _, group := range groups {
			_ = syscall.Rmdir(group)
		}
	}
}
