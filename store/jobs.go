package store

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Records of jobs are the caller's, kept so that a start can say what the end
// before it interrupted. A record that is damaged is passed over: it is no more
// than a note.

// maxJobBytes bounds a record.
const maxJobBytes = 64 << 10

// PutJob keeps the record of a job under its number, durably. Errors: ErrBatch,
// ErrFailed, ErrClosed.
func (s *Store) PutJob(ctx context.Context, number uint64, record []byte) error {
	if len(record) > maxJobBytes {
		return fmt.Errorf("%w: the record of a job has %d bytes of %d", ErrBatch, len(record), maxJobBytes)
	}
	key := jobKey(number)
	return s.changeJob(ctx, func() error {
		return s.db.Set(key, binary.LittleEndian.AppendUint64(append([]byte(nil), record...), jobSum(key, record)), s.sync())
	})
}

// DeleteJob forgets a job.
func (s *Store) DeleteJob(ctx context.Context, number uint64) error {
	return s.changeJob(ctx, func() error { return s.db.Delete(jobKey(number), s.sync()) })
}

// changeJob keeps Close away from a write.
func (s *Store) changeJob(ctx context.Context, write func() error) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	closed := s.closed
	s.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	if err := s.failed(); err != nil {
		return err
	}
	if err := write(); err != nil {
		s.fail(err)
		return s.failed()
	}
	return nil
}

// Jobs gives the records that are kept, by ascending number.
func (s *Store) Jobs(ctx context.Context) (numbers []uint64, records [][]byte, err error) {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	s.mu.RLock()
	closed := s.closed
	s.mu.RUnlock()
	if closed {
		return nil, nil, ErrClosed
	}
	err = scan(s.db, []byte{familyJob}, nil, func(key, value []byte) error {
		if len(key) != 9 || len(value) < 8 || binary.LittleEndian.Uint64(value[len(value)-8:]) != jobSum(key, value[:len(value)-8]) {
			s.log.Warn("store: the record of a job is damaged and passed over", "key", fmt.Sprintf("%x", key))
			return ctx.Err()
		}
		numbers = append(numbers, binary.BigEndian.Uint64(key[1:]))
		records = append(records, append([]byte(nil), value[:len(value)-8]...))
		return ctx.Err()
	})
	if err != nil {
		return nil, nil, readError("", "jobs", err)
	}
	return numbers, records, nil
}

func jobKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyJob}, number)
}

func jobSum(key, record []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(key)
	_, _ = d.Write(record)
	return d.Sum64()
}
