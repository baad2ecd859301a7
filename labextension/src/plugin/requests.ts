/** Requests to the Jupyter server's handlers: the only way from here to an Ironflow server. */

import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { Refusal, type Ask, type Query } from '../adapters/ask.ts';

/** Sends a request below `/ironflow-lab/` and returns its JSON; throws a `Refusal`. */
export const ask: Ask = async (path, { query = {}, method = 'GET', signal } = {}) => {
  const settings = ServerConnection.makeSettings();
  const url = URLExt.join(settings.baseUrl || PageConfig.getBaseUrl(), 'ironflow-lab', path) + queryOf(query);
  let response: Response;
  try {
    response = await ServerConnection.makeRequest(url, { method, ...(signal ? { signal } : {}) }, settings);
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new Refusal('jupyter_gone', 'The Jupyter server does not answer.', 0);
  }
  const content = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok) {
    throw new Refusal(String(content['code'] ?? ''), String(content['message'] ?? response.statusText), response.status);
  }
  return content;
};

function queryOf(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
