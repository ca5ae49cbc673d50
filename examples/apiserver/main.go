// Command apiserver is a control plane of many clusters, as kcp is one, on
// k8s.io/apiserver and etcd: Namespaces, ServiceAccounts, Secrets, ConfigMaps and Pods of
// each, with this library's tokens, admission and controllers. README.md says what to try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation"
)

type options struct {
	data     string
	port     int
	replicas int
	tenants  []string
	tour     bool
}

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("apiserver", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is one line
	flags.StringVar(&o.data, "data", "", "`folder` that keeps objects and keys between runs; without it nothing is kept")
	flags.IntVar(&o.port, "port", 0, "`port` on loopback; 0 means one that is free")
	flags.IntVar(&o.replicas, "replicas", 2, "`number` of API servers, and of managers")
	names := flags.String("clusters", "red,blue", "`names` of clusters")
	flags.BoolVar(&o.tour, "tour", false, "demonstrate it, and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(output)
			flags.Usage()
		}
		return o, err
	}
	o.tenants = strings.Split(*names, ",")
	for i, name := range o.tenants {
		if len(validation.IsDNS1123Label(name)) > 0 || name == leaseTenant || slices.Contains(o.tenants[:i], name) {
			return o, fmt.Errorf("-clusters %q: want different DNS labels other than %s", *names, leaseTenant)
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.replicas < 1 || o.replicas > 9:
		return o, fmt.Errorf("-replicas %d: want 1 to 9", o.replicas)
	case o.port < 0 || o.port > 65535:
		return o, fmt.Errorf("-port %d: want 0 to 65535", o.port)
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	p, err := start(ctx, o, os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := p.stop(); err == nil {
			err = stopErr
		}
	}()
	if o.tour {
		return newTour(p, o.tenants, out).all(ctx)
	}
	for _, name := range p.names() {
		fmt.Fprintf(out, "cluster %s: KUBECONFIG=%s\n", name, p.kubeconfig(name))
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}
