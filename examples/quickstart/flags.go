package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// options are what the flags say.
type options struct {
	files       stringList
	output      string
	namespace   string
	strict      bool
	strictKinds bool
	legacy      bool
}

// formats are the values of -o.
var formats = []string{"diff", "plan", "yaml", "json"}

// errHelp says that the user asked for the usage.
var errHelp = errors.New("help requested")

func parseFlags(args []string) (options, error) {
	var opts options
	flags := newFlags(&opts)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return opts, errHelp
	case err != nil:
		return opts, err
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q: name manifests with -f", flags.Arg(0))
	case !slices.Contains(formats, opts.output):
		return opts, fmt.Errorf("-o %q: want one of %s", opts.output, strings.Join(formats, ", "))
	case len(validation.IsDNS1123Label(opts.namespace)) > 0:
		return opts, fmt.Errorf("-n %q: want the name of a namespace", opts.namespace)
	}
	if len(opts.files) == 0 {
		flags.Visit(func(f *flag.Flag) {
			if f.Name == "n" || f.Name == "strict-kinds" {
				err = fmt.Errorf("-%s without -f: it is about manifests", f.Name)
			}
		})
	}
	return opts, err
}

func newFlags(opts *options) *flag.FlagSet {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.Var(&opts.files, "f", "say what admission would do to the pods of this `file or folder`, or of standard input for -; may be repeated")
	flags.StringVar(&opts.output, "o", "diff", "show pods as `format` diff, plan (what is done and why), yaml or json")
	flags.StringVar(&opts.namespace, "n", "default", "`namespace` of the manifests that name none")
	flags.BoolVar(&opts.strict, "strict", false, "limit accounts in every reference to a Secret, which Kubernetes does not")
	flags.BoolVar(&opts.strictKinds, "strict-kinds", false, "fail if a manifest has pods and isn't of a kind that is checked, such as a custom resource or a removed version")
	flags.BoolVar(&opts.legacy, "legacy", false, "work as Kubernetes did up to v1.20: every account gets a token Secret, which its pods mount")
	return flags
}

func usage() string {
	var b bytes.Buffer
	b.WriteString(`Usage: quickstart [-f FILE|FOLDER|-]... [-o diff|plan|yaml|json] [-n NAMESPACE] [-strict] [-strict-kinds] [-legacy]

Without -f it tells the story of "Managing Service Accounts" on a cluster in memory.
With -f it puts the Namespaces, ServiceAccounts and Secrets of the manifests into such a
cluster, lets the controllers work, and says what admission does to each Pod and to the
pod of each Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job,
CronJob and PodTemplate. What comes again is unchanged or configured, as kubectl apply says;
what has pods and isn't one of these kinds is unchecked. Nothing outside of this process is touched.

The exit status is 1 if something was denied, could not be read or has to be rendered first,
2 for wrong flags.

`)
	flags := newFlags(new(options))
	flags.SetOutput(&b)
	flags.PrintDefaults()
	return b.String()
}

// stringList collects the values of a flag that may be repeated.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, ",") }

// Set appends value.
func (l *stringList) Set(value string) error {
	if value == "" {
		return errors.New("want a file, a folder or -")
	}
	*l = append(*l, value)
	return nil
}
