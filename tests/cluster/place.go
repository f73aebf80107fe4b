// Where a cluster lives on disk, and which addresses it has. Each cluster of a machine has a number, so that several run side by side.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const nodeName = "node"

// place is the directory of a cluster.
type place struct{ dir string }

func defaultDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("mai-cluster-%d", os.Getuid()))
}

func openPlace(dir string) (place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return place{}, err
	}
	// These are covered inside, because programs have paths below them that cannot be told otherwise.
	for _, covered := range covered {
		if strings.HasPrefix(dir+"/", covered+"/") {
			return place{}, fmt.Errorf("the cluster cannot live in %s, below %s; name another directory", dir, covered)
		}
	}
	// Paths of sockets end at 107 characters.
	if len(dir) > 80 {
		return place{}, fmt.Errorf("%s is too long for the sockets in it; name a directory of at most 80 characters", dir)
	}
	return place{dir}, nil
}

func (p place) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

func (p place) kubeconfig(who string) string { return p.path("kubeconfig", who) }

// number gives a cluster its addresses: node 10.111.N.1, this machine as pods see it 10.111.N.2, pods 10.112.N.0/24. Services
// have half of 10.(128+N/2).0.0/16, for tests with thousands of them.
type number int

const highestNumber = 250

func (n number) node() string       { return fmt.Sprintf("10.111.%d.1", n) }
func (n number) host() string       { return fmt.Sprintf("10.111.%d.2", n) }
func (n number) pods() string       { return fmt.Sprintf("10.112.%d.0/24", n) }
func (n number) services() string   { return n.service(0) + "/17" }
func (n number) kubernetes() string { return n.service(1) }
func (n number) dns() string        { return n.service(10) }
func (n number) service(last int) string {
	return fmt.Sprintf("10.%d.%d.%d", 128+n/2, n%2*128, last)
}
func (n number) link() string   { return fmt.Sprintf("mai-cluster-%d", n) }
func (n number) server() string { return fmt.Sprintf("https://%s:6443", n.node()) }
func (n number) cgroup() string { return fmt.Sprintf("mai-cluster-%d", n) }

// savedNumber is the one that the keys and the objects in etcd were made for.
func (p place) savedNumber() (number, error) {
	text, err := os.ReadFile(p.path("number"))
	if err != nil {
		return 0, fmt.Errorf("there is no cluster in %s (%w); start one with: mai-cluster up", p.dir, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s holds no number (%w); remove %s to begin anew", p.path("number"), err, p.dir)
	}
	return number(n), nil
}

func (p place) saveNumber(n number) error {
	return os.WriteFile(p.path("number"), []byte(strconv.Itoa(int(n))+"\n"), 0o644)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
