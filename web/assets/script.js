// Keeps a page up to date without moving what did not change. The server renders all that is shown: the script loads the
// page again after a change, and takes over the parts that differ. Without the script, a page is complete, and as old as its load.
'use strict';
(() => {
  const body = document.body;
  const announce = document.getElementById('announce');
  const PAUSE = 3000; // at least between two loads
  const POLL = 30000; // between two loads without a stream
  const STALE = 90000; // data that is older is said to be old

  // html has each part as the server sent it, because the script changes times and focus in the page.
  const html = new Map();
  const parts = (root) => root.querySelectorAll('[data-region], [data-key]');
  const nameOf = (part) => part.dataset.key ? 'key ' + part.dataset.key : 'region ' + part.dataset.region;
  for (const part of parts(document)) html.set(nameOf(part), part.outerHTML);

  // Times.
  function span(ms) {
    const s = Math.round(Math.abs(ms) / 1000);
    if (s < 60) return s + ' s';
    if (s < 3600) return Math.floor(s / 60) + ' min';
    if (s < 172800) return Math.floor(s / 3600) + ' h ' + (s < 36000 ? Math.floor(s % 3600 / 60) + ' min' : '');
    return Math.floor(s / 86400) + ' days';
  }
  // skew is how far the clock of this computer is ahead of the server's.
  let skew = Date.now() - Date.parse(body.dataset.at);
  const now = () => Date.now() - skew;
  function showTimes() {
    for (const time of document.querySelectorAll('time[data-ago]')) {
      const ms = now() - Date.parse(time.dateTime);
      if (!time.title) time.title = time.textContent;
      const text = ms >= 0 ? span(ms).trim() + ' ago' : 'in ' + span(ms).trim();
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // The age of the data, and whether it is old.
  let loaded = Date.now(), open = false, failed = false;
  function showAge() {
    if (!body.dataset.live) return;
    const age = Date.now() - loaded, old = failed && age > POLL || age > STALE;
    const word = document.getElementById('connection');
    if (word) word.textContent = old ? '(connection lost: ' + span(age) + ' old)' : open ? '(live)' : '';
    if (old && !body.classList.contains('stale')) announce.textContent = 'The connection is lost. The page shows old data.';
    body.classList.toggle('stale', old);
  }

  // focusIn is a selector of what has the focus in an element. A picture of runs has no ID, but is the only one where it stands.
  function focusIn(element) {
    const e = document.activeElement;
    if (!element.contains(e)) return '';
    if (e.id) return '#' + CSS.escape(e.id);
    return e.parentElement?.id ? '#' + CSS.escape(e.parentElement.id) + ' > ' + e.localName : '';
  }
  function focusOn(selector) {
    const e = selector && document.querySelector(selector);
    if (e && e !== document.activeElement) e.focus({preventScroll: true});
  }
  // inView is the row that the reader looks at: that with the focus, or the first one in the window that does not move to another
  // group. At the top of the page there is none: what is new at the top is to be seen.
  function inView(list, states) {
    if (scrollY === 0) return null;
    const seen = Array.from(list.querySelectorAll('[data-key]')).filter((row) => {
      const box = row.getBoundingClientRect();
      return box.bottom > 0 && box.top < innerHeight && states.get(row.dataset.key) === row.dataset.state;
    });
    const row = seen.find((one) => one.contains(document.activeElement)) || seen[0];
    return row && {id: row.id, top: row.getBoundingClientRect().top};
  }

  // Taking over what the server renders now.
  function replace(old, fresh) {
    html.set(nameOf(fresh), fresh.outerHTML);
    const focus = focusIn(old);
    old.replaceWith(fresh);
    focusOn(focus);
  }
  function takeRegions(next) {
    for (const fresh of next.querySelectorAll('[data-region]')) {
      const old = document.querySelector('[data-region="' + CSS.escape(fresh.dataset.region) + '"]');
      if (old && html.get(nameOf(fresh)) !== fresh.outerHTML) replace(old, document.importNode(fresh, true));
    }
  }
  const order = (list) => Array.from(list.querySelectorAll('[data-group], [data-key]'), (e) => e.dataset.key || e.dataset.group).join('\n');
  function takeList(next) {
    const list = document.querySelector('[data-list]'), fresh = next.querySelector('[data-list]');
    if (!list || !fresh) return;
    const said = [], old = new Map();
    for (const row of list.querySelectorAll('[data-key]')) old.set(row.dataset.key, row);
    const focus = focusIn(list), moved = order(list) !== order(fresh);
    const read = inView(list, new Map(Array.from(fresh.querySelectorAll('[data-key]'), (row) => [row.dataset.key, row.dataset.state])));
    for (const row of fresh.querySelectorAll('[data-key]')) {
      const before = old.get(row.dataset.key);
      if (before && before.dataset.state !== row.dataset.state) said.push(row.dataset.name + ' is ' + row.dataset.state);
      if (before && html.get(nameOf(row)) === row.outerHTML) {
        if (moved) row.replaceWith(before);
        continue;
      }
      html.set(nameOf(row), row.outerHTML);
      if (before && before.dataset.state !== row.dataset.state) row.classList.add('fresh');
      if (!moved) before.replaceWith(row);
    }
    if (moved) {
      list.replaceChildren(...fresh.childNodes);
      const keys = new Set(Array.from(list.querySelectorAll('[data-key]'), nameOf));
      for (const name of html.keys()) if (name.startsWith('key ') && !keys.has(name)) html.delete(name);
    }
    focusOn(focus);
    if (read) scrollBy({top: document.getElementById(read.id).getBoundingClientRect().top - read.top, behavior: 'instant'});
    if (said.length) announce.textContent = said.slice(0, 3).join('. ') + (said.length > 3 ? '. ' + (said.length - 3) + ' more changed.' : '.');
  }

  // Loading the page again, one load at a time.
  let loading = false, wanted = false, timer = 0;
  async function load() {
    clearTimeout(timer);
    timer = 0;
    if (loading || document.hidden) { wanted = true; return; }
    loading = true;
    wanted = false;
    try {
      const answer = await fetch(location.href, {headers: {Accept: 'text/html'}, cache: 'no-store', credentials: 'same-origin'});
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (!next.body.dataset.at) throw new Error('another page');
      skew = Date.now() - Date.parse(next.body.dataset.at);
      loaded = Date.now();
      failed = false;
      takeRegions(next);
      takeList(next);
      showTimes();
    } catch {
      failed = true;
    } finally {
      loading = false;
      showAge();
      if (wanted) soon();
    }
  }
  function soon() { if (!timer) timer = setTimeout(load, PAUSE); }

  let first = true;
  function listen() {
    const stream = new EventSource(body.dataset.root + 'api/v1/changes');
    const concerns = (event) => {
      const only = body.dataset.about;
      if (!only) return soon();
      const c = JSON.parse(event.data);
      if (c.kind + '/' + c.namespace + '/' + c.name === only) soon();
    };
    stream.onopen = () => { open = true; showAge(); };
    stream.onerror = () => { open = false; if (stream.readyState === EventSource.CLOSED) setTimeout(listen, POLL); showAge(); };
    stream.addEventListener('changed', concerns);
    stream.addEventListener('deleted', concerns);
    stream.addEventListener('refresh', () => { if (!first) soon(); first = false; });
    addEventListener('pagehide', () => stream.close(), {once: true});
  }

  // The bars of runs, by keyboard: left and right go through them.
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  tip.setAttribute('role', 'status');
  body.append(tip);
  function choose(svg, bar) {
    svg.querySelector('.chosen')?.classList.remove('chosen');
    if (!bar) { tip.hidden = true; return; }
    bar.classList.add('chosen');
    tip.textContent = bar.querySelector('title').textContent;
    tip.hidden = false;
    const at = bar.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(at.left, innerWidth - tip.offsetWidth - 4)) + 'px';
    tip.style.top = (at.top > tip.offsetHeight + 8 ? at.top - tip.offsetHeight - 4 : at.bottom + 4) + 'px';
  }
  document.addEventListener('keydown', (event) => {
    const svg = event.target;
    if (!svg.matches?.('svg.bars')) return;
    const bars = Array.from(svg.querySelectorAll('.bar'));
    const at = bars.findIndex((bar) => bar.classList.contains('chosen'));
    const to = {ArrowLeft: at < 0 ? bars.length - 1 : Math.max(0, at - 1), ArrowRight: at < 0 ? bars.length - 1 : Math.min(bars.length - 1, at + 1), Home: 0, End: bars.length - 1, Escape: -1}[event.key];
    if (event.key === 'Enter' && bars[at]?.href) location.href = bars[at].getAttribute('href');
    if (to === undefined) return;
    event.preventDefault();
    choose(svg, bars[to]);
  });
  document.addEventListener('focusin', (event) => { if (event.target.matches?.('svg.bars:focus-visible')) choose(event.target, event.target.querySelector('.bar:last-of-type')); });
  document.addEventListener('focusout', (event) => { if (event.target.matches?.('svg.bars')) choose(event.target, null); });

  // Copying commands.
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch { // without TLS there is no clipboard
      getSelection().selectAllChildren(source);
      if (!document.execCommand('copy')) return;
    }
    button.textContent = 'Copied';
    announce.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  }
  for (const button of document.querySelectorAll('button[data-copy]')) button.hidden = false;
  document.addEventListener('click', (event) => { const button = event.target.closest?.('button[data-copy]'); if (button) copy(button); });

  // Forms leave out fields without a value, so that addresses are short.
  document.addEventListener('submit', (event) => {
    for (const field of event.target.querySelectorAll('input, select')) if (!field.value) field.disabled = true;
    setTimeout(() => { for (const field of event.target.elements) field.disabled = false; });
  });

  showTimes();
  showAge();
  setInterval(() => { showTimes(); showAge(); }, 5000);
  if (body.dataset.live === 'stream') listen();
  if (body.dataset.live) setInterval(() => { if (!open || Date.now() - loaded > POLL) load(); }, POLL);
  document.addEventListener('visibilitychange', () => { if (!document.hidden && wanted) load(); });
})();
