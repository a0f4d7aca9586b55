package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// readers opens the project's readers by name.
var readers = map[string]func() (agent.Reader, error){
	"portwalk": func() (agent.Reader, error) { return portwalk.Open(portwalk.Options{}) },
	"sockdiag": func() (agent.Reader, error) { return sockdiag.Open(sockdiag.Options{}) },
}

// resident is a reader in a separate process, so that its memory can be measured.
type resident struct {
	cmd       *exec.Cmd
	requests  *json.Encoder
	responses *json.Decoder
	stdin     io.Closer
	gates     []int // of the samples that count as one
	last      sampleResponse
}

type sampleRequest struct{ Gate int }

type sampleResponse struct {
	CPU      time.Duration
	Sockets  map[uint64]int // by namespace, without listeners and bound-only ones
	Pools    int
	Exact    socket.Exactness
	Networks int
	Err      string
}

// startResident starts a reader, of which one sample is the mean of samples with these gates.
func startResident(reader string, gates ...int) (*resident, error) {
	cmd := exec.Command("/proc/self/exe", "-serve", reader)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // the main thread does not exit
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	return &resident{cmd: cmd, requests: json.NewEncoder(in), responses: json.NewDecoder(out), stdin: in, gates: gates}, nil
}

func (r *resident) sample() (time.Duration, error) {
	var sum time.Duration
	for _, gate := range r.gates {
		r.last = sampleResponse{}
		if err := errors.Join(r.requests.Encode(sampleRequest{gate}), r.responses.Decode(&r.last)); err != nil {
			return 0, fmt.Errorf("reader process ended: %w", err)
		}
		if r.last.Err != "" {
			return 0, errors.New(r.last.Err)
		}
		sum += r.last.CPU
	}
	return sum / time.Duration(len(r.gates)), nil
}

func (r *resident) check(b *sandbox) error {
	if r.gates[0] > 0 {
		return nil // sockets below the gate are not counted
	}
	var errs []error
	for i, s := range b.namespaces {
		errs = append(errs, compareCounts(i, r.last.Sockets[s.Inode()], b.socketCounts[i]))
	}
	return errors.Join(errs...)
}

func (r *resident) memory() memory {
	return readMemory(r.cmd.Process.Pid)
}

func (r *resident) close() error { return errors.Join(r.stdin.Close(), r.cmd.Wait()) }

// serveSamples takes a sample for each request on standard input, and responds with the cost
// of the sample and of its pools.
func serveSamples(name string) error {
	r, err := readers[name]()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var request sampleRequest
		if err := in.Decode(&request); err != nil {
			return nil // end of the requests
		}
		if err := out.Encode(measureSample(r, request)); err != nil {
			return err
		}
	}
}

func measureSample(r agent.Reader, q sampleRequest) sampleResponse {
	before := ownCPUTime()
	s, err := r.Sample(context.Background(), socket.Request{DetailPercent: q.Gate})
	if err != nil {
		return sampleResponse{Err: err.Error()}
	}
	a := sampleResponse{Sockets: map[uint64]int{}, Exact: s.Reader.Exactness, Networks: len(s.Networks)}
	a.Pools = len(socket.SelectTightest(s.Pools(), 10))
	a.CPU = ownCPUTime() - before
	for _, n := range s.Networks {
		a.Sockets[n.Inode] = n.States.Total() - int(n.States[tcpstate.Listen]) - int(n.States[tcpstate.Bound])
	}
	return a
}
