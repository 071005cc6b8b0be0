package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// record is what one service knows to be stored: the last name of each user that PostgreSQL acknowledged to it. The goroutines of a service
// share one, and write different users.
type record struct {
	mu sync.Mutex

	Writes  int64              `json:"writes"` // acknowledged ones
	Acked   map[int64]string   `json:"acked"`
	Doubt   map[int64][]string `json:"doubt,omitempty"` // an error came instead of an answer: stored or not
	Unknown int64              `json:"unknown"`         // inserts that ended so; their ids are not known
}

func newRecord() *record {
	return &record{Acked: map[int64]string{}, Doubt: map[int64][]string{}}
}

// update notes how a write of a known user ended, and returns err.
func (r *record) update(id int64, name string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.Doubt[id] = append(r.Doubt[id], name)
		return err
	}
	r.Writes++
	r.Acked[id] = name
	delete(r.Doubt, id)
	return nil
}

// insert notes how the insert of a user ended, and returns err.
func (r *record) insert(id int64, name string, err error) error {
	if err == nil {
		return r.update(id, name, nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Unknown++
	return err
}

// name is the name that a user must have: the acknowledged one, or the one the table began with.
func (r *record) name(id int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name, ok := r.Acked[id]; ok {
		return name
	}
	return nameOf(initialUser(id), 0)
}

// check compares a name that was read with the one that the user must have.
func (r *record) check(id int64, got string) error {
	r.mu.Lock()
	doubt := slices.Contains(r.Doubt[id], got)
	r.mu.Unlock()
	if want := r.name(id); got != want && !doubt {
		return fmt.Errorf("user %d is called %q, acknowledged was %q", id, got, want)
	}
	return nil
}

// stored is one row of the final table.
type stored struct {
	ID   int64  `db:"id"`
	Name string `db:"full_name"`
}

// lostWrites compares the whole table with what the services recorded and with the rows it began with, ids 1 to rows. It returns a line
// for each row that is missing, has another name, or was written by nobody.
func lostWrites(table iter.Seq2[stored, error], rows int64, records []*record) ([]string, error) {
	all := merge(records)
	var lost, strangers []string
	var initial int64
	missing := maps.Clone(all.Acked)
	for row, err := range table {
		if err != nil {
			return lost, err
		}
		_, acked := missing[row.ID]
		delete(missing, row.ID)
		switch {
		case row.ID >= 1 && row.ID <= rows:
			initial++
		case !acked:
			strangers = append(strangers, fmt.Sprintf("user %d, called %q, was inserted by nobody", row.ID, row.Name))
			continue
		}
		if err := all.check(row.ID, row.Name); err != nil {
			lost = append(lost, err.Error())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		lost = append(lost, fmt.Sprintf("user %d, acknowledged as %q, is gone", id, missing[id]))
	}
	gone := rows - initial
	for id := range missing {
		if id <= rows {
			gone-- // named above
		}
	}
	if gone > 0 {
		lost = append(lost, fmt.Sprintf("%d users of the %d that the table began with are gone", gone, rows))
	}
	if int64(len(strangers)) > all.Unknown {
		lost = append(lost, strangers...)
	}
	return lost, nil
}

// merge joins the records of services that wrote different users.
func merge(records []*record) *record {
	all := newRecord()
	for _, r := range records {
		all.Writes += r.Writes
		all.Unknown += r.Unknown
		maps.Copy(all.Acked, r.Acked)
		maps.Copy(all.Doubt, r.Doubt)
	}
	return all
}
