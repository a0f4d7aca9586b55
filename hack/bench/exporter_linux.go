package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// exporter is Debian's node_exporter, scraped inside the namespace.
type exporter struct {
	cmd   *exec.Cmd
	space *testnet.Namespace
	page  []byte // of the last scrape
}

var exporterAt = netip.MustParseAddrPort("127.0.0.1:910")

func startExporter(s *testnet.Namespace) (*exporter, error) {
	cmd := exec.Command("prometheus-node-exporter", "--collector.disable-defaults", "--collector.tcpstat",
		"--web.disable-exporter-metrics", "--log.level=error", "--web.listen-address="+exporterAt.String())
	cmd.Stderr = os.Stderr
	if err := s.Start(cmd); err != nil {
		return nil, err
	}
	e := &exporter{cmd: cmd, space: s}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := e.scrape("/")
		if err == nil {
			return e, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("node_exporter doesn't answer: %w", err)
		}
	}
}

func (e *exporter) sample() (time.Duration, error) {
	before, err1 := threadsTime(e.cmd.Process.Pid)
	err2 := e.scrape("/metrics")
	after, err3 := e.settled()
	return after - before, errors.Join(err1, err2, err3)
}

// settled is the CPU time once what the scrape left to do (garbage) is done.
func (e *exporter) settled() (time.Duration, error) {
	last := time.Duration(-1)
	for range 20 {
		now, err := threadsTime(e.cmd.Process.Pid)
		if err != nil || now == last {
			return now, err
		}
		last = now
		time.Sleep(20 * time.Millisecond)
	}
	return last, nil
}

func (e *exporter) scrape(path string) error {
	k, err := e.space.Connect(netip.AddrPort{}, exporterAt)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	if err := k.Send([]byte("GET " + path + " HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	if e.page, err = k.ReceiveAll(); err != nil {
		return err
	}
	if !bytes.HasPrefix(e.page, []byte("HTTP/1.0 200")) {
		return fmt.Errorf("scrape: %q", e.page[:min(len(e.page), 80)])
	}
	return nil
}

func (e *exporter) check(b *bed) error {
	seen := 0
	for r := bufio.NewScanner(bytes.NewReader(e.page)); r.Scan(); {
		name, value, _ := bytes.Cut(r.Bytes(), []byte("} "))
		if !bytes.HasPrefix(name, []byte("node_tcp_connection_states{")) || bytes.HasSuffix(name, []byte(`state="listen"`)) ||
			bytes.Contains(name, []byte("queued_bytes")) {
			continue
		}
		n, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return err
		}
		seen += int(n)
	}
	return compare(0, seen, b.made[0])
}

func (e *exporter) memory() memory { return memoryOf(e.cmd.Process.Pid) }

func (e *exporter) close() error {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait() // it says that it was killed
	return nil
}

// threadsTime is the time that all threads of a process spent on a CPU, to the
// nanosecond (first field of schedstat).
func threadsTime(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no schedstat: %w", pid, errors.Join(err, io.EOF))
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(fieldAfter(b, ""))
	}
	return sum, nil
}
