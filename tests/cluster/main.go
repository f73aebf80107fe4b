// mai-cluster: a real Kubernetes in one binary, for tests and for trying mAI operator out. This file: its verbs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

const usage = `mai-cluster: a real Kubernetes on this machine, in namespaces of its own

  up [--control-plane] [--attached] [--discard]   start it; --control-plane leaves the node out (no pods), --attached ends it with
                                                  standard input, --discard forgets its state when it ends
  down [--discard]                                end it; the state stays unless --discard
  stop|start|restart|kill PROGRAM                 %s
  kubeconfig                                      print the path of the administrator's kubeconfig
  host                                            print the address at which pods reach this machine
  kubectl ...                                     kubectl on it
  load-image ARCHIVE...                           import what "docker save" or pack-image wrote
  pack-image NAME:TAG ROOTFS.tar ARCHIVE [--user U] ENTRYPOINT...
                                                  make an image of one layer

  --dir DIR, before or after the verb, is where it lives; $MAI_CLUSTER_DIR or %s otherwise
`

func main() {
	arguments, dir := takeDir(os.Args[1:])
	if err := dispatch(arguments, dir); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "mai-cluster:", err)
		}
		os.Exit(1)
	}
}

// takeDir takes --dir out, wherever it stands, but not what belongs to kubectl or to a program.
func takeDir(arguments []string) ([]string, string) {
	dir := os.Getenv("MAI_CLUSTER_DIR")
	if dir == "" {
		dir = defaultDir()
	}
	var rest []string
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		if argument == "kubectl" || argument == "run" {
			return append(rest, arguments[i:]...), dir
		}
		if value, found := strings.CutPrefix(argument, "--dir="); found {
			dir = value
		} else if argument == "--dir" && i+1 < len(arguments) {
			i++
			dir = arguments[i]
		} else {
			rest = append(rest, argument)
		}
	}
	return rest, dir
}

func dispatch(arguments []string, dir string) error {
	if len(arguments) == 0 || arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h" {
		fmt.Printf(usage, strings.Join(programNames(), ", "), defaultDir())
		return nil
	}
	verb, rest := arguments[0], arguments[1:]
	switch verb {
	case "run":
		return runProgram(rest)
	case "init":
		return runInit()
	}
	place, err := openPlace(dir)
	if err != nil {
		return err
	}
	switch verb {
	case "up":
		return up(place, rest)
	case "supervise":
		return supervise(place, rest)
	case "down":
		return down(place, rest)
	case "stop", "start", "restart", "kill":
		if len(rest) != 1 {
			return fmt.Errorf("%s what? One of: %s", verb, strings.Join(programNames(), ", "))
		}
		return order(place, verb+" "+rest[0])
	case "kubeconfig":
		fmt.Println(place.kubeconfig("admin"))
		return nil
	case "host":
		number, err := place.savedNumber()
		if err != nil {
			return err
		}
		fmt.Println(number.host())
		return nil
	case "kubectl":
		return kubectl(place, rest)
	case "load-image":
		return loadImages(place, rest)
	case "pack-image":
		return packImageVerb(rest)
	}
	return fmt.Errorf("there is no verb %q; see mai-cluster help", verb)
}
