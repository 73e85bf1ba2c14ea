// What the tests in the browser share: a browser, and pages that notice what no page may do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** target is what the Go side tells: the address of the server, and what is there. */
export const target = JSON.parse(process.env.KHRONICLE_BROWSER_TARGET);

/** launch starts Chromium with an empty profile. It asks no server of the internet. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/**
 * open opens a tab that notes faults: errors of the console, dialogs, violations of the policy, requests to other hosts,
 * and answers of 400 and more. close fails with them, and closes the tab.
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ baseURL: target.base, viewport: { width: 1280, height: 800 }, ...options });
  const faults = [];
  const host = new URL(target.base).host;
  await context.exposeBinding('khronicleFault', (_, text) => faults.push(text));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => khronicleFault(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    globalThis.hostile = () => khronicleFault('a hostile text was run');
  });
  const tab = await context.newPage();
  tab.on('console', (message) => { if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()}`); });
  tab.on('pageerror', (error) => faults.push(`script: ${error.stack}`));
  tab.on('dialog', (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  tab.on('request', (request) => { if (new URL(request.url()).host !== host) faults.push(`request to another host: ${request.url()}`); });
  tab.on('response', (response) => { if (response.status() >= 400) faults.push(`${response.status()} for ${response.url()}`); });
  return {
    tab, context, faults,
    async close() {
      await context.close();
      assert.deepEqual(faults, [], 'faults that the browser noted');
    },
  };
}

/** accessible opens all that can be opened, and fails for findings of axe that are serious or critical, by the rules of WCAG 2.2 AA. */
export async function accessible(tab, name) {
  await tab.evaluate(() => { for (const e of document.querySelectorAll('details')) e.open = true; });
  await tab.evaluate(axeSource);
  const found = await tab.evaluate(() => axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], rules: { 'target-size': { enabled: true } }, resultTypes: ['violations'],
  }));
  const bad = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  assert.deepEqual(bad.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary).join(' | ')}`), [], `axe on ${name}`);
}

/** tooWide are the elements that reach beyond the right edge of the window, unless they scroll by themselves. */
export function tooWide(tab) {
  return tab.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > width + 1)
      .slice(0, 5).map((e) => `${e.tagName}#${e.id}.${e.getAttribute('class')} ${Math.round(e.getBoundingClientRect().right)} of ${width}`);
  });
}
