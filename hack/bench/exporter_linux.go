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

// exporter is Debian's node_exporter, scraped inside a namespace.
type exporter struct {
	cmd       *exec.Cmd
	namespace *testnet.Namespace
	page      []byte // of the last scrape
}

var exporterAt = netip.MustParseAddrPort("127.0.0.1:910")

func startExporter(s *testnet.Namespace) (*exporter, error) {
	cmd := exec.Command("prometheus-node-exporter", "--collector.disable-defaults", "--collector.tcpstat",
		"--web.disable-exporter-metrics", "--log.level=error", "--web.listen-address="+exporterAt.String())
	cmd.Stderr = os.Stderr
	if err := s.Start(cmd); err != nil {
		return nil, err
	}
	e := &exporter{cmd: cmd, namespace: s}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := e.scrape("/")
		if err == nil {
			return e, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("node_exporter does not respond: %w", err)
		}
	}
}

func (e *exporter) sample() (time.Duration, error) {
	before, err1 := readThreadTimes(e.cmd.Process.Pid)
	err2 := e.scrape("/metrics")
	after, err3 := e.settledCPUTime()
	return after - before, errors.Join(err1, err2, err3)
}

// settledCPUTime returns the CPU time after the work that a scrape leaves behind (garbage
// collection) has ended.
func (e *exporter) settledCPUTime() (time.Duration, error) {
	last := time.Duration(-1)
	for range 20 {
		now, err := readThreadTimes(e.cmd.Process.Pid)
		if err != nil || now == last {
			return now, err
		}
		last = now
		time.Sleep(20 * time.Millisecond)
	}
	return last, nil
}

func (e *exporter) scrape(path string) error {
	k, err := e.namespace.Connect(netip.AddrPort{}, exporterAt)
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

func (e *exporter) check(b *sandbox) error {
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
	return compareCounts(0, seen, b.socketCounts[0])
}

func (e *exporter) memory() memory { return readMemory(e.cmd.Process.Pid) }

func (e *exporter) close() error {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait() // reports that it was killed
	return nil
}

// readThreadTimes returns the CPU time of all threads of a process, in nanoseconds (first
// field of schedstat).
func readThreadTimes(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no schedstat: %w", pid, errors.Join(err, io.EOF))
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(parseFieldAfter(b, ""))
	}
	return sum, nil
}
