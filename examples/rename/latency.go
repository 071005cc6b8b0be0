package main

import (
	"math"
	"slices"
	"time"
)

// latency counts durations in buckets that grow by a twentieth, so that a percentile is right to 5 %, a service needs little memory
// however long it runs, and the counts of several services can be added.
type latency struct {
	Buckets map[int]int64 `json:"buckets"`
	Longest time.Duration `json:"longest"`
}

const (
	growth   = 1.05
	smallest = 10 * time.Microsecond
)

func (l *latency) add(d time.Duration) {
	if l.Buckets == nil {
		l.Buckets = map[int]int64{}
	}
	l.Buckets[bucketOf(d)]++
	l.Longest = max(l.Longest, d)
}

func (l *latency) merge(o latency) {
	if l.Buckets == nil {
		l.Buckets = map[int]int64{}
	}
	for b, n := range o.Buckets {
		l.Buckets[b] += n
	}
	l.Longest = max(l.Longest, o.Longest)
}

// quantile is the duration that the share q of all operations did not exceed, 0 when there were none.
func (l *latency) quantile(q float64) time.Duration {
	var total int64
	buckets := make([]int, 0, len(l.Buckets))
	for b, n := range l.Buckets {
		total += n
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	rank := int64(math.Ceil(q * float64(total)))
	for _, b := range buckets {
		rank -= l.Buckets[b]
		if rank <= 0 {
			return min(upper(b), l.Longest)
		}
	}
	return 0
}

// bucketOf is the first bucket whose upper end is not below d.
func bucketOf(d time.Duration) int {
	if d <= smallest {
		return 0
	}
	return int(math.Ceil(math.Log(float64(d)/float64(smallest)) / math.Log(growth)))
}

func upper(bucket int) time.Duration {
	return time.Duration(float64(smallest) * math.Pow(growth, float64(bucket)))
}
