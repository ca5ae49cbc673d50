package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"
)

var (
	seed   = flag.Uint64("seed", 1, "of the storm of writes and of the moments at which the child is killed")
	rounds = flag.Int("rounds", 8, "how often the child is killed")
)

// The program is killed in the middle of a storm of writes, again and again. Whatever it
// has answered holds ever after, and what it had begun is brought to its end.
func TestRestart(t *testing.T) {
	folder, random := t.TempDir(), rand.New(rand.NewPCG(*seed, 0))
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{name: fmt.Sprintf("w%d", i), random: rand.New(rand.NewPCG(*seed, uint64(i+1))), live: map[string]string{}, gone: map[string]bool{}}
	}
	c := start(t, folder)
	for range *rounds {
		var storm sync.WaitGroup
		answers := make(chan bool)
		for _, w := range writers {
			w.answers = answers
			storm.Go(func() { w.write(t, c.api) })
		}
		go func() { storm.Wait(); close(answers) }()
		// In the middle of the writes that follow some that were answered.
		for left := 20 + random.IntN(100); left > 0; left-- {
			<-answers
		}
		time.AfterFunc(time.Duration(random.IntN(10000))*time.Microsecond, func() { _ = c.cmd.Process.Kill() })
		for range answers { // until all writers have noticed
		}
		c.kill()
		if t.Failed() {
			return
		}
		checkIndex(t, filepath.Join(folder, "objects.db"))

		c = start(t, folder)
		for _, w := range writers {
			w.check(t, c.api)
		}
		eventually(t, func() string { return inOrder(c.api) })
		for _, w := range writers {
			w.checkGone(t, c.api)
		}
	}
	written, issued := 0, 0
	for _, w := range writers {
		written, issued = written+w.answered, issued+len(w.tokens)
	}
	if written < 20**rounds || issued == 0 {
		t.Errorf("%d writes were answered and %d tokens issued, want more", written, issued)
	}
	t.Logf("%d writes answered, %d tokens issued, %d kills", written, issued, *rounds)
}

// A writer knows what it was answered. It has its own namespaces, does one thing at a
// time, and stops at the first request that isn't answered.
type writer struct {
	name   string
	random *rand.Rand
	count  int // for names

	live     map[string]string // paths and UIDs of objects that must be there
	gone     map[string]bool   // paths of those that must not
	asked    string            // the path of what was to be written when no answer came
	tokens   []issuedToken
	answered int
	answers  chan<- bool // gets a value for each
}

type issuedToken struct{ account, uid, value string }

func (w *writer) pick(part string) string {
	var paths []string
	for path := range w.live {
		if strings.Contains(path, part) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	return paths[w.random.IntN(len(paths))]
}

// write does random things until the child is killed.
func (w *writer) write(t *testing.T, a api) {
	for ok := true; ok; {
		account := w.pick("/serviceaccounts/")
		namespace, name, _ := strings.Cut(account, "/serviceaccounts/")
		w.count++
		switch dice := w.random.IntN(20); {
		case account == "" || dice == 0:
			ok = w.namespace(t, a)
		case dice < 5:
			name := fmt.Sprintf("a%d", w.random.IntN(4)) // of few, so that there are namesakes
			ok = w.create(t, a, namespace+"/serviceaccounts", name, fmt.Sprintf(`{"metadata":{"name":%q}}`, name))
		case dice < 11:
			of := fmt.Sprintf("%s.%d", name, w.count)
			ok = w.create(t, a, namespace+"/secrets", of, fmt.Sprintf(
				`{"metadata":{"name":%q,"annotations":{"kubernetes.io/service-account.name":%q}},"type":"kubernetes.io/service-account-token"}`, of, name))
		case dice < 13:
			of := fmt.Sprintf("%s.%d", name, w.count)
			ok = w.create(t, a, namespace+"/pods", of, podOf(of, name))
		case dice < 15:
			ok = w.token(t, a, account)
		case dice < 16:
			if path := w.pick("/secrets/"); path != "" {
				ok = w.delete(t, a, path)
			}
		case dice < 19:
			if name != "default" {
				ok = w.delete(t, a, account)
			}
		case len(w.live) > 60:
			ok = w.delete(t, a, namespace)
		}
	}
}

func (w *writer) namespace(t *testing.T, a api) bool {
	name := fmt.Sprintf("%s-%d", w.name, w.count)
	if !w.create(t, a, "/api/v1/namespaces", name, fmt.Sprintf(`{"metadata":{"name":%q}}`, name)) {
		return false
	}
	path := "/api/v1/namespaces/" + name + "/serviceaccounts/default"
	d, err := a.call("GET", path, "")
	if err != nil {
		return false
	}
	if d.code != 200 {
		t.Errorf("%s has no account: %s", name, d.body)
	}
	w.live[path] = d.Metadata.UID
	return true
}

func (w *writer) create(t *testing.T, a api, at, name, body string) bool {
	path := at + "/" + name
	if w.live[path] != "" {
		return true
	}
	d, err := a.call("POST", at, body)
	if err != nil {
		w.asked = path
		return false
	}
	if d.code != 201 {
		t.Errorf("POST %s %s: %d %s", at, name, d.code, d.body)
		return false
	}
	w.created(path, d.Metadata.UID)
	w.answered++
	w.answers <- true
	return true
}

// created notes that path is there. A Secret that an account of that name left behind
// before it was filled is now a Secret of this one.
func (w *writer) created(path, uid string) {
	w.live[path] = uid
	for lost := range w.gone {
		if lost == path || strings.HasPrefix(lost, strings.Replace(path, "/serviceaccounts/", "/secrets/", 1)+".") {
			delete(w.gone, lost)
		}
	}
}

func (w *writer) delete(t *testing.T, a api, path string) bool {
	d, err := a.call("DELETE", path, "")
	if err != nil {
		w.asked = path
		return false
	}
	if d.code != 200 {
		t.Errorf("DELETE %s: %d %s", path, d.code, d.body)
		return false
	}
	w.deleted(path)
	w.answered++
	w.answers <- true
	return true
}

// deleted notes that path is gone, and what goes with it.
func (w *writer) deleted(path string) {
	secrets := strings.Replace(path, "/serviceaccounts/", "/secrets/", 1) + "."
	for other := range w.live {
		if other == path || strings.HasPrefix(other, path+"/") || strings.HasPrefix(other, secrets) {
			delete(w.live, other)
			w.gone[other] = true
		}
	}
}

func (w *writer) token(t *testing.T, a api, account string) bool {
	d, err := a.call("POST", account+"/token", "")
	if err != nil {
		return false
	}
	var status struct{ Token string }
	if err := json.Unmarshal(d.Status, &status); err != nil || d.code != 201 || status.Token == "" {
		t.Errorf("no token: %d %s", d.code, d.body)
		return false
	}
	w.tokens = append(w.tokens, issuedToken{account, w.live[account], status.Token})
	return true
}

// check finds out about the write that was not answered, and then whether everything is
// there that was.
func (w *writer) check(t *testing.T, a api) {
	if w.asked != "" {
		if d, err := a.call("GET", w.asked, ""); err == nil && d.code == 200 {
			w.created(w.asked, d.Metadata.UID)
		} else {
			w.deleted(w.asked)
		}
		w.asked = ""
	}
	for path, uid := range w.live {
		if d, err := a.call("GET", path, ""); err != nil || d.code != 200 || d.Metadata.UID != uid {
			t.Errorf("%s with UID %s was answered for; now it is %d %s, %v", path, uid, d.code, d.body, err)
		}
	}
	for _, token := range w.tokens {
		want := 401
		if w.live[token.account] == token.uid {
			want = 200
		}
		if d, err := a.call("GET", "/whoami", "", "Authorization: Bearer "+token.value); err != nil || d.code != want {
			t.Errorf("the token of %s is answered with %d %s, %v; want %d", token.account, d.code, d.body, err, want)
		}
	}
}

func (w *writer) checkGone(t *testing.T, a api) {
	for path := range w.gone {
		if d, err := a.call("GET", path, ""); err != nil || d.code != 404 {
			t.Errorf("%s was deleted; now it is %d %s, %v", path, d.code, d.body, err)
		}
	}
}

// inOrder returns what is not as controllers should have left it, or "".
func inOrder(a api) string {
	namespaces, err := a.call("GET", "/api/v1/namespaces", "")
	if err != nil || namespaces.code != 200 {
		return fmt.Sprintf("the namespaces can't be listed: %s, %v", namespaces.body, err)
	}
	for _, namespace := range namespaces.Items {
		at := "/api/v1/namespaces/" + namespace.Metadata.Name
		accounts, err1 := a.call("GET", at+"/serviceaccounts", "")
		secrets, err2 := a.call("GET", at+"/secrets", "")
		if err1 != nil || err2 != nil {
			return fmt.Sprint(err1, err2)
		}
		uids := map[string]string{}
		for _, account := range accounts.Items {
			uids[account.Metadata.Name] = account.Metadata.UID
		}
		if uids["default"] == "" {
			return at + " has no default account"
		}
		for _, secret := range secrets.Items {
			of, uid := secret.Metadata.Annotations[corev1.ServiceAccountNameKey], secret.Metadata.Annotations[corev1.ServiceAccountUIDKey]
			if uid == "" || uids[of] != uid || len(secret.Data["token"]) == 0 {
				return fmt.Sprintf("%s/secrets/%s of %s, which has the UID %q, has the UID %q and a token of %d bytes",
					at, secret.Metadata.Name, of, uids[of], uid, len(secret.Data["token"]))
			}
			d, err := a.call("GET", "/whoami", "", "Authorization: Bearer "+string(secret.Data["token"]))
			if err != nil || d.Username != "system:serviceaccount:"+namespace.Metadata.Name+":"+of || d.UID != uid {
				return fmt.Sprintf("the token in %s/secrets/%s is answered with %s, %v", at, secret.Metadata.Name, d.body, err)
			}
		}
	}
	return ""
}

// checkIndex reads the file as it was left: the index has exactly the token Secrets.
func checkIndex(t *testing.T, file string) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var want, got []string
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the file: %v", err)
		}
		err := tx.Bucket([]byte("Secret")).ForEach(func(_, data []byte) error {
			var secret corev1.Secret
			err := json.Unmarshal(data, &secret)
			want = append(want, fmt.Sprintf("%s/%s/%s", secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey], secret.Name))
			return err
		})
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(tokenIndex)).ForEach(func(k, _ []byte) error { got = append(got, string(k)); return nil })
	})
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the index has %q, want %q; %v", got, want, err)
	}
}
