// Command benchtable runs the benchmarks that measure Kubernetes and this library
// side by side, and writes their medians and ratios into the document of this
// repository that shows them, and a picture of the ratios beside it.
//
//	cd internal/compat
//	go run ./cmd/benchtable -out new.txt     # runs everything, several minutes
//	go run ./cmd/benchtable -in new.txt      # only writes again what was saved
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := do(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

type options struct {
	in, out, doc, svg, time string
	count                   int
}

func do(args []string, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("benchtable", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.in, "in", "", "read saved output from `file` and run nothing")
	flags.StringVar(&o.out, "out", "", "save the output of the run in `file`")
	flags.StringVar(&o.doc, "doc", "../../docs/benchmarks.md", "the document with the `marks`")
	flags.StringVar(&o.svg, "svg", "../../docs/benchmarks.svg", "the `picture`")
	flags.StringVar(&o.time, "benchtime", "300ms", "how long each benchmark runs")
	flags.IntVar(&o.count, "count", 5, "how often each benchmark runs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.in != "" && o.out != "":
		return errors.New("-in and -out are both set, want one of them")
	case o.count < 1:
		return fmt.Errorf("-count is %d, want at least 1", o.count)
	}
	// Whatever can be wrong with the document is found before the long run.
	document, err := os.ReadFile(o.doc)
	if err != nil {
		return err
	}
	if _, err := replaceTable(string(document), ""); err != nil {
		return fmt.Errorf("%s: %w", o.doc, err)
	}
	output, err := o.output(progress)
	if err != nil {
		return err
	}
	// Somebody may have written in it meanwhile.
	if document, err = os.ReadFile(o.doc); err != nil {
		return err
	}
	text, picture, err := render(string(document), output)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.doc, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(o.svg, []byte(picture), 0o644)
}

// render returns the document and the picture for the output of the benchmarks.
func render(document string, output []byte) (text, picture string, err error) {
	r, err := parse(bytes.NewReader(output))
	if err != nil {
		return "", "", err
	}
	all, err := r.results()
	if err != nil {
		return "", "", err
	}
	rows, err := table(r, all)
	if err != nil {
		return "", "", err
	}
	text, err = replaceTable(document, rows)
	return text, chart(all), err
}

// output returns what the benchmarks printed, after lines that say where and when.
func (o *options) output(progress io.Writer) ([]byte, error) {
	if o.in != "" {
		return os.ReadFile(o.in)
	}
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for the version of k8s.io/kubernetes: %w; run it in internal/compat", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "date: %s\ngo-version: %s\nupstream: %s\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), strings.TrimSpace(string(version)))
	dir, err := os.MkdirTemp("", "benchtable")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "compat.test")
	if out, err := exec.Command("go", "test", "-c", "-o", program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
	}
	// All of them, again and again: a noisy minute then spoils one value of each
	// implementation, and not all values of one.
	for range o.count {
		test := exec.Command(program, "-test.run", "^$", "-test.bench", ".", "-test.benchmem", "-test.benchtime", o.time)
		test.Stdout, test.Stderr = io.MultiWriter(&b, progress), progress
		if err := test.Run(); err != nil {
			return nil, fmt.Errorf("running the benchmarks: %w", err)
		}
	}
	if o.out != "" {
		if err := os.WriteFile(o.out, b.Bytes(), 0o644); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
