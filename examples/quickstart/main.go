// Quickstart tells the story of "Managing Service Accounts" on a cluster in
// memory, step by step, or says what admission would do to manifests.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -f manifests/ -f more.yaml -o plan
//	kubectl get all -o yaml | go run ./examples/quickstart -f -
//
// It opens no connection, and writes nothing but two key files in a temporary
// folder, which it removes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Exit statuses.
const (
	exitGood   = 0
	exitDenied = 1 // something was denied or can't be read
	exitUsage  = 2 // wrong flags
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage())
		return exitGood
	case err != nil:
		fmt.Fprintf(stderr, "quickstart: %v (quickstart -h explains the flags)\n", err)
		return exitUsage
	}
	ctx := context.Background()
	if len(opts.files) == 0 {
		err = tellStory(ctx, opts, stdout)
	} else {
		err = reviewManifests(ctx, opts, stdin, stdout)
	}
	if err != nil && !errors.Is(err, errDenied) {
		fmt.Fprintf(stderr, "quickstart: %v\n", err)
	}
	if err != nil {
		return exitDenied
	}
	return exitGood
}

// errDenied says that something was denied or can't be read; the output says what.
var errDenied = errors.New("something was denied or can't be read")
