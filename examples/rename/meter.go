package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/tandem-go/tandem/switchover"
)

// load is what happened in one phase.
type load struct {
	Operations int64   `json:"operations"`
	Errors     int64   `json:"errors"`
	Latency    latency `json:"latency"`
}

func (l *load) merge(o *load) {
	l.Operations += o.Operations
	l.Errors += o.Errors
	l.Latency.merge(o.Latency)
}

// report is all that one service did.
type report struct {
	Service  string                     `json:"service"`
	Record   *record                    `json:"record"`
	Loads    map[switchover.Phase]*load `json:"loads"`
	Messages []string                   `json:"messages,omitempty"`
}

// meter counts the operations of a service.
type meter struct {
	mu       sync.Mutex
	loads    map[switchover.Phase]*load
	messages []string // of the first errors
}

// maxMessages of each service are shown; the rest is counted.
const maxMessages = 5

func newMeter() *meter { return &meter{loads: map[switchover.Phase]*load{}} }

func (m *meter) add(phase switchover.Phase, d time.Duration, operation string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.loads[phase]
	if l == nil {
		l = &load{}
		m.loads[phase] = l
	}
	l.Operations++
	l.Latency.add(d)
	if err == nil {
		return
	}
	l.Errors++
	if len(m.messages) < maxMessages {
		m.messages = append(m.messages, fmt.Sprintf("%s in %s: %v", operation, phase, err))
	}
}

func (m *meter) counts() (operations, failed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.loads {
		operations += l.Operations
		failed += l.Errors
	}
	return operations, failed
}
