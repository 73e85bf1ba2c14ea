// What people do with the pages, against checks that really run.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { launch, open, target } from './harness.mjs';

const run = promisify(execFile);
const { namespace, cluster } = target;
const overview = `/?namespace=${namespace}`;
const patience = 60_000;

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

/** on gives a test a tab of its own, and fails it for the faults that the tab noted. */
const on = (name, options, body) => test(name, async () => {
  const page = await open(browser, options);
  page.tab.setDefaultTimeout(patience);
  await body(page.tab, page);
  await page.close();
});

/** shell runs a command line as people paste it: kubectl is that of the cluster. */
async function shell(line) {
  const { stdout } = await run('bash', ['-ec', `kubectl() { "$KUBEBOX" kubectl "$@"; }\n${line}`], { env: { ...process.env, ...cluster } });
  return stdout;
}

/** change sets variables of the demo check, as an edit of its manifest does. */
function change(name, variables) {
  const env = Object.entries(variables).map(([key, value]) => ({ name: key, value }));
  const patch = [{ op: 'replace', path: '/spec/podSpec/containers/0/env', value: env }];
  return shell(`kubectl -n ${namespace} patch khc ${name} --type json -p '${JSON.stringify(patch)}'`);
}

const row = (tab, name, more = '') => tab.locator(`[data-key="check/${namespace}/${name}"]${more}`);
const active = (tab) => tab.evaluate(() => document.activeElement.id);

test('programs get the JSON of Kuberhealthy', async () => {
  for (const accept of ['*/*', 'application/json']) {
    const answer = await fetch(target.base, { headers: { Accept: accept } });
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    const body = await answer.json();
    assert.deepEqual(Object.keys(body).sort(), ['CheckDetails', 'CurrentMaster', 'Errors', 'JobDetails', 'Metadata', 'OK']);
    assert.equal(body.CheckDetails[`${namespace}/cart`].OK, true);
  }
});

on('the overview has each check, the failing ones first', {}, async (tab) => {
  await tab.goto(overview);
  assert.deepEqual(await tab.locator('[data-key]').evaluateAll((rows) => rows.map((e) => `${e.dataset.name} ${e.dataset.state}`)), target.rows);
  for (const state of ['failing', 'unknown', 'paused', 'healthy']) {
    const number = target.rows.filter((one) => one.endsWith(` ${state}`)).length;
    assert.equal(await tab.locator(`#counts [data-state="${state}"]`).getAttribute('data-number'), String(number), state);
  }
});

on('filters are in the address, and the back button takes them back', {}, async (tab) => {
  await tab.goto('/');
  await tab.locator('#filters [name=namespace]').fill(namespace);
  await tab.getByLabel('State').selectOption('failing');
  await tab.getByRole('button', { name: 'Filter' }).click();
  await tab.waitForURL(`**/?namespace=${namespace}&state=failing`);
  const failing = target.rows.filter((one) => one.endsWith(' failing')).length;
  assert.equal(await tab.locator('[data-key]').count(), failing);
  assert.equal(await tab.locator('[data-key][data-state="failing"]').count(), failing);
  await tab.reload();
  assert.equal(await tab.getByLabel('State').inputValue(), 'failing');
  await tab.locator('#count-healthy').click();
  await tab.waitForURL(`**/?namespace=${namespace}&state=healthy`);
  await tab.goBack();
  await tab.waitForURL(`**/?namespace=${namespace}&state=failing`);
  assert.equal(await tab.locator('[data-key]').count(), failing);
  await tab.goBack();
  assert.equal(new URL(tab.url()).search, '');
  assert.equal(await tab.locator('#filters [name=namespace]').inputValue(), '');
});

on('a check that begins to fail is shown without a reload', { viewport: { width: 1280, height: 500 } }, async (tab) => {
  await tab.goto(overview);
  await row(tab, 'checkout', '[data-state="healthy"]').waitFor();
  const reader = `check/${namespace}/search/link`;
  await tab.locator(`[id="${reader}"]`).scrollIntoViewIfNeeded();
  await tab.locator(`[id="${reader}"]`).focus();
  const top = () => tab.evaluate((id) => document.getElementById(id).getBoundingClientRect().top, reader);
  await tab.evaluate(() => { globalThis.sameDocument = true; scrollBy(0, 40); });
  const before = await top();
  assert.ok(await tab.evaluate(() => scrollY) > 0, 'the page is scrolled');
  let navigations = 0;
  tab.on('framenavigated', () => { navigations++; });
  await change('checkout', target.failure);
  await row(tab, 'checkout', '[data-state="failing"]').waitFor();
  await row(tab, 'checkout').getByText(target.error).waitFor();
  assert.equal(await tab.locator('#announce').innerText(), `${namespace}/checkout is failing.`);
  assert.equal(await tab.evaluate(() => globalThis.sameDocument), true);
  assert.equal(navigations, 0, 'navigations');
  assert.equal(await active(tab), reader, 'the focus');
  const moved = Math.abs(await top() - before);
  assert.ok(moved < 2, `what was read has moved by ${moved} pixels`);
  assert.equal(await tab.locator('section').first().getAttribute('data-group'), 'state/failing');
});

on('the focus on a picture of runs stays when a run is added', {}, async (tab) => {
  await tab.goto(overview);
  const bars = row(tab, 'search').locator('svg.bars');
  const newest = () => bars.locator('.bar title').last().textContent();
  const before = await newest();
  await bars.focus();
  await tab.keyboard.press('ArrowLeft');
  await shell(`kubectl -n ${namespace} annotate khc search khronicle.github.io/requested-at="$(date +%s)" --overwrite`);
  for (const end = Date.now() + patience; await newest() === before || /running/.test(await newest());) {
    assert.ok(Date.now() < end, `the run is shown: ${await newest()}`);
    await setTimeout(50);
  }
  assert.equal(await tab.evaluate(() => document.activeElement.closest('[data-key]')?.dataset.name), `${namespace}/search`);
  assert.equal(await tab.evaluate(() => document.activeElement.getAttribute('class')), 'bars');
});

on('the page of a check has its state, errors, chart and runs', {}, async (tab) => {
  await tab.goto(overview);
  await row(tab, 'checkout').getByRole('link').click();
  assert.equal(await tab.locator('#banner').getAttribute('data-state'), 'failing');
  assert.match(await tab.locator('#errors').innerText(), new RegExp(target.error));
  const bars = tab.locator('#chart .bar');
  assert.ok(await bars.count() > 30, 'bars of the chart');
  assert.equal(await tab.locator('[data-run]').count(), await bars.count());
  await tab.getByLabel('Outcome').selectOption('failed');
  await tab.getByRole('button', { name: 'Filter' }).click();
  await tab.waitForURL('**/checks/*/checkout?outcome=failed');
  const outcomes = await tab.locator('[data-run]').evaluateAll((rows) => rows.map((e) => e.dataset.outcome));
  assert.deepEqual([...new Set(outcomes)], ['failed']);
});

on('the log of a failed run is two clicks from the overview', {}, async (tab) => {
  await tab.goto(overview);
  await row(tab, 'checkout').getByRole('link').click();
  await tab.locator('[data-run][data-outcome="failed"]').first().getByRole('link').click();
  const log = tab.locator('[data-kind="log"] pre');
  assert.ok(await log.isVisible(), 'the log is shown without another click');
  assert.match(await log.innerText(), /line 3 of 3/);
  assert.equal(await tab.locator('#banner').getAttribute('data-outcome'), 'failed');
  assert.ok(await tab.locator('#timeline .phases li').count() >= 6, 'phases of the run');
  assert.ok(await tab.locator('#timeline svg.lane').count() >= 1, 'lanes of the run');
  assert.match(await tab.locator('#since').innerText(), /last success before this run/);
  assert.match(await tab.locator('#temporal').getAttribute('href'), new RegExp(`^${target.temporalUI}/namespaces/default/workflows/[0-9a-f-]{36}$`));
});

/** focusOrder presses Tab until the focus leaves the page. It returns what had the focus, and fails where that cannot be seen. */
async function focusOrder(tab) {
  const order = [];
  for (let i = 0; i < 500; i++) {
    await tab.keyboard.press('Tab');
    const at = await tab.evaluate(() => {
      const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
      if (e === document.body) return null;
      globalThis.focusables ??= [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
        .filter((one) => one.tabIndex >= 0 && (one.checkVisibility() || one.matches('.skip')));
      return {
        index: globalThis.focusables.indexOf(e), name: e.outerHTML.slice(0, 120),
        ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth, all: globalThis.focusables.length,
      };
    });
    if (!at) return order;
    assert.ok(at.ring, `no ring around ${at.name}`);
    assert.ok(at.inside, `${at.name} has the focus outside of the window`);
    if (at.index === order.length - 1 && order.length) continue; // a part of the same field, such as the month of a date
    order.push(at.index);
    assert.equal(at.index, order.length - 1, `${at.name} is out of order`);
    if (order.length === at.all) return order;
  }
  assert.fail('the focus does not leave the page');
}

on('the keyboard reaches everything, in order, with a ring that can be seen', {}, async (tab) => {
  for (const path of [overview, `/checks/${namespace}/checkout`, target.pages['failed run'], '/status']) {
    await tab.goto(path);
    assert.ok((await focusOrder(tab)).length > 0, path);
  }
  await tab.goto(overview);
  await tab.keyboard.press('Tab');
  await tab.keyboard.press('Enter');
  assert.equal(await active(tab), 'main', 'the link to the content');
});

on('arrow keys go through the bars', {}, async (tab) => {
  await tab.goto(`/checks/${namespace}/checkout`);
  const chart = tab.locator('#chart svg.bars'), tip = tab.locator('.tip');
  await tab.locator('#filters button').focus();
  await tab.keyboard.press('Tab');
  const titles = await chart.locator('.bar title').allTextContents();
  assert.equal(await tip.textContent(), titles.at(-1), 'the newest run comes first');
  for (const [key, want] of [['ArrowLeft', titles.at(-2)], ['ArrowLeft', titles.at(-3)], ['ArrowRight', titles.at(-2)], ['Home', titles[0]], ['ArrowLeft', titles[0]], ['End', titles.at(-1)]]) {
    await tab.keyboard.press(key);
    assert.equal(await tip.textContent(), want, key);
    assert.ok(await tip.isVisible());
  }
  await tab.keyboard.press('Escape');
  assert.ok(await tip.isHidden(), 'Escape');
  await tab.keyboard.press('End');
  await tab.keyboard.press('Enter');
  await tab.waitForURL('**/runs/*');
  await tab.goto(overview);
  await row(tab, 'checkout').locator('svg.bars').focus();
  await tab.keyboard.press('ArrowLeft');
  assert.match(await tip.textContent(), /^\d{4}-\d\d-\d\d .* UTC: /);
});

on('a copied command does what its title says', { permissions: ['clipboard-read', 'clipboard-write'] }, async (tab) => {
  const copied = async (id) => {
    await tab.locator(`[data-copy="command-${id}"]`).focus();
    await tab.keyboard.press('Enter');
    await tab.locator(`[data-copy="command-${id}"]`).getByText('Copied').waitFor();
    return tab.evaluate(() => navigator.clipboard.readText());
  };
  await tab.goto(`/checks/${namespace}/login`);
  const runs = await tab.locator('[data-run]').count();
  await shell(await copied('run-now'));
  await tab.locator('[data-run="manual"], [data-run^="manual-"]').first().waitFor();
  assert.ok(await tab.locator('[data-run]').count() > runs);
  assert.match(await shell(await copied('logs')), /started/);
  await shell(await copied('pause'));
  await tab.locator('#banner[data-state="paused"]').waitFor();
  await tab.reload();
  await shell(await copied('resume'));
  await tab.locator('#banner:not([data-state="paused"])').waitFor();
});

on('texts of others are shown as they are', {}, async (tab) => {
  for (const path of [target.pages['hostile check'], target.pages['hostile run']]) {
    await tab.goto(path);
    assert.match(await tab.locator('#errors').innerText(), /<script>hostile\(\)<\/script>/);
    assert.equal(await tab.locator('main script, main img, main [onerror], main [onload]').count(), 0);
    assert.doesNotMatch(await tab.locator('body').textContent(), /[\u001b\u202a-\u202e\u2066-\u2069]/);
  }
  const log = await tab.locator('[data-kind="log"] pre').textContent();
  assert.match(log, /<img src=x onerror=hostile\(\)>/);
  assert.ok(log.includes('x'.repeat(10_000)), 'what is stored of a line of 100 kB');
});

on('the public status has no errors, runs or evidence', {}, async (tab) => {
  await tab.goto('/status');
  const html = await tab.content();
  for (const secret of [target.error, 'hostile()', 'line 3 of 3', '/checks/']) assert.ok(!html.includes(secret), secret);
  assert.equal(await tab.locator('main a:not(#next):not(#previous)').count(), 0);
  assert.ok((await tab.locator('#list').innerText()).includes(`${namespace}/checkout`));
});

on('old data is said to be old, and comes up to date by itself', {}, async (tab, page) => {
  await tab.clock.install();
  await tab.goto(overview);
  await tab.locator('#connection').getByText('(live)').waitFor();
  await page.context.setOffline(true);
  await tab.clock.fastForward('02:00');
  await tab.locator('#connection').getByText('connection lost').waitFor();
  assert.match(await tab.locator('#announce').textContent(), /connection is lost/);
  await page.context.setOffline(false);
  page.faults.length = 0; // those of the lost connection
  await tab.clock.fastForward('01:00');
  await tab.locator('#connection').getByText('(live)').waitFor();
  assert.equal(await tab.evaluate(() => document.body.classList.contains('stale')), false);
});

/** picture stores what a tab shows as WebP, which is a third of the size of PNG. */
async function picture(tab, name) {
  const png = (await tab.screenshot()).toString('base64');
  const drawer = await browser.newPage();
  const webp = await drawer.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    canvas.getContext('2d').drawImage(image, 0, 0);
    const encoded = (quality) => canvas.toDataURL('image/webp', quality).split(',')[1];
    return [0.8, 0.6, 0.4].map(encoded).find((text) => text.length * 3 / 4 <= 60_000);
  }, png);
  await drawer.close();
  assert.ok(webp, `${name} has more than 60 kB`);
  await writeFile(`${target.pictures}/pages-${name}.webp`, webp, 'base64');
}

for (const [name, colorScheme, width, clicks] of [['overview', 'light', 1100, 0], ['check', 'light', 1100, 1], ['run', 'light', 1100, 2], ['dark', 'dark', 390, 0]]) {
  on(`a picture: ${name}`, { colorScheme, viewport: { width, height: width < 600 ? 900 : 680 } }, async (tab) => {
    await tab.goto(overview);
    if (clicks > 0) await row(tab, 'checkout').getByRole('link').click();
    if (clicks > 1) await tab.locator('[data-run][data-outcome="failed"]').first().getByRole('link').click();
    if (clicks > 1) await tab.locator('#since').evaluate((e) => e.scrollIntoView()); // the evidence is below it
    await picture(tab, name);
  });
}
