// etcd, on loopback and without fsync: what it holds has to survive a restart of the cluster, not of the machine.
package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

const etcdAddress = "http://127.0.0.1:2379"

func runEtcd(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("etcd needs its directory")
	}
	config := embed.NewConfig()
	config.Name, config.Dir = "node", arguments[0]
	client, err := url.Parse(etcdAddress)
	if err != nil {
		return err
	}
	peer, err := url.Parse("http://127.0.0.1:2380")
	if err != nil {
		return err
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = "node=" + peer.String()
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-ended:
		etcd.Close()
		return nil
	case err := <-etcd.Err():
		return err
	}
}
