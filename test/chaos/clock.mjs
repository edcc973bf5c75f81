// Preloaded into the operator: its wall clock is ahead by what the run says. Monotonic clocks and timers are left alone,
// as they are by a person or a daemon that sets the time.
const RealDate = Date;
let ahead = Number(process.env.CHAOS_CLOCK_AHEAD_MS ?? 0);

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + ahead);
    else super(...args);
  }

  static now() {
    return RealDate.now() + ahead;
  }
};

process.on('message', ({ aheadMs }) => (ahead = aheadMs));
process.channel?.unref();
