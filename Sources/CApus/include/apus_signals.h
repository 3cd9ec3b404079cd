// SPDX-License-Identifier: Apache-2.0
//
// Watching signals (signals.c). All but the handler is called by one thread at a time.

#ifndef APUS_SIGNALS_H
#define APUS_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/// To be called once, before anything is caught. A non-blocking descriptor that becomes readable with each signal that is
/// caught, to be kept open for ever; or -errno.
int apus_signals_open(void);
/// Makes that descriptor readable.
void apus_signals_wake(void);
/// Reads it empty.
void apus_signals_drain(int reading_end);

/// Whether there is such a signal, and a program may go on after it.
bool apus_signal_can_be_watched(int number);
/// Counts a signal instead of what was done with it before. 0 or -errno.
int apus_signal_catch(int number);
/// Gives a signal its former action back.
void apus_signal_release(int number);
/// How many have come since the last call.
uint32_t apus_signal_take(int number);

#endif
