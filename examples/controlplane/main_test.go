package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childEnv makes the test binary the program.
const childEnv = "CONTROLPLANE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A child is the program, running on a folder.
type child struct {
	api
	cmd  *exec.Cmd
	done chan struct{} // closed when it has closed its stderr

	mu  sync.Mutex
	log bytes.Buffer
}

func start(t *testing.T, folder string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], "-data", folder, "-listen", "127.0.0.1:0"), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan string, 1)
	go c.read(stderr, serving)
	t.Cleanup(func() {
		c.kill()
		if log := c.text(); t.Failed() || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("the child's log:\n%s", log)
		}
	})
	select {
	case url := <-serving:
		c.api = api{url, &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	case <-c.done:
		t.Fatal("the child ended")
	case <-time.After(patience):
		t.Fatal("the child doesn't serve")
	}
	return c
}

// read keeps what the child logs, and tells where it serves.
func (c *child) read(stderr io.Reader, serving chan<- string) {
	defer close(c.done)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		c.mu.Lock()
		fmt.Fprintln(&c.log, lines.Text())
		c.mu.Unlock()
		if _, url, ok := strings.Cut(lines.Text(), "serving url="); ok {
			serving <- url
		}
	}
}

func (c *child) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// kill ends the child as a crash of the machine would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
	_ = c.cmd.Wait()
}

// An api is where a control plane serves.
type api struct {
	url    string
	client *http.Client
}

// A document is what it answers.
type document struct {
	code int
	body []byte

	Kind, APIVersion, Reason, Message string
	Metadata                          struct {
		Namespace, Name, UID, ResourceVersion string
		Annotations                           map[string]string
	}
	Type     string
	Data     map[string][]byte
	Items    []document
	Status   json.RawMessage
	Username string
	UID      string
	Spec     json.RawMessage
}

// call does a request. An error means that it was not answered.
func (a api) call(method, path string, body string, header ...string) (document, error) {
	r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		return document{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return document{}, err
	}
	defer resp.Body.Close()
	d := document{code: resp.StatusCode}
	if d.body, err = io.ReadAll(resp.Body); err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(d.body, &d)
	}
	return d, err
}

// want does a request that has to be answered with code.
func (a api) want(t *testing.T, code int, method, path string, body string, header ...string) document {
	t.Helper()
	d, err := a.call(method, path, body, header...)
	if err != nil || d.code != code {
		t.Fatalf("%s %s: %d %s, %v; want %d", method, path, d.code, d.body, err, code)
	}
	return d
}

// patience is how long a test waits for what takes a moment on a machine that isn't busy.
const patience = 2 * time.Minute

// eventually waits for what controllers do: until problem returns "".
func eventually(t *testing.T, problem func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if last = problem(); last == "" {
			return
		}
	}
	t.Fatalf("even after %v %s", patience, last)
}

// A program that is told to end answers what it was asked before, and exits with 0.
func TestShutdown(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		folder := filepath.Join(t.TempDir(), "state")
		c := start(t, folder)
		c.want(t, 201, "POST", "/api/v1/namespaces", `{"metadata":{"name":"shop"}}`)
		if err := c.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		<-c.done
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("after %v: %v", signal, err)
		}
		c = start(t, folder)
		c.want(t, 200, "GET", "/api/v1/namespaces/shop", "")
	}
}

// Two processes never have one store.
func TestSecondProcess(t *testing.T) {
	folder := t.TempDir()
	start(t, folder)
	second := exec.Command(os.Args[0], "-data", folder, "-listen", "127.0.0.1:0")
	second.Env = append(os.Environ(), childEnv+"=1")
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "timeout") {
		t.Errorf("a second process on the folder: %v, %s; want a timeout", err, out)
	}
}

// The whole example stays short enough to be read in one sitting. Blank lines, comments and
// imports don't count.
func TestSize(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, body, ok := strings.Cut(string(text), "\n)\n") // after the imports
		if !ok {
			t.Errorf("%s has no imports", file)
		}
		for line := range strings.Lines(body) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "//") {
				code++
			}
			if len(line) > 130 {
				t.Errorf("%s has a line of %d characters, want 130 at most", file, len(line))
			}
		}
	}
	if code >= 400 || code == 0 {
		t.Errorf("the example has %d lines, want fewer than 400", code)
	}
	t.Logf("%d lines", code)
}
